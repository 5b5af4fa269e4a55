"""`/quarantine`: what was refused, and what became of it. Decisions are made by command, not here."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from aggregator.access import Scope
from aggregator.store import quarantine as store
from metering.api.access import Reading
from metering.api.console.admission import sees
from metering.api.console.pages import page
from metering.api.parameters import Parameters, Storable
from schemas.codes import SENTENCES, Code

router: Final = APIRouter()

MOST_REFUSALS: Final = 50


class QuarantineParameters(Parameters):
    """Which refusals."""

    code: Storable | None = None


@router.get("/quarantine")
async def quarantine(
    request: Request,
    reading: Annotated[Reading, sees(Scope.STATUS_READ)],
    parameters: Annotated[QuarantineParameters, Query()],
) -> Response:
    """Groups of refusals that are alike, the newest ones, and what each code means."""
    groups = await store.groups(reading.connection, parameters.code, None, None)
    newest = await store.newest(reading.connection, MOST_REFUSALS, code=parameters.code)
    codes = dict.fromkeys(group.code for group in groups)
    return page(
        request,
        "quarantine.html",
        code=parameters.code,
        groups=groups,
        newest=newest,
        sentences={code: SENTENCES[Code(code)] for code in codes},
        waiting=store.WAITING,
    )
