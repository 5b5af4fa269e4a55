"""`/`: how the pipeline does, live."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from aggregator.access import Access, Scope
from aggregator.store import proof
from metering.api.console.admission import enters
from metering.api.console.pages import page
from metering.api.parameters import Parameters
from metering.api.services import services_of
from metering.doctor.proof import OLD_US
from metering.observer.counted import DUTIES

router: Final = APIRouter()

_UNAVAILABLE: Final = 503
_WITHOUT: Final = {
    "closer": "nothing becomes final",
    "rater": "nothing is rated",
    "observer": "no alert tells of what happens while workers are away",
    "auditor": "nobody proves what is counted",
}


class StatusParameters(Parameters):
    """How it is watched."""

    paused: bool = False


@router.get("/")
async def status(
    request: Request,
    _access: Annotated[Access, enters(Scope.STATUS_READ)],
    parameters: Annotated[StatusParameters, Query()],
) -> Response:
    """Partitions, meters, servers and who is at work; as far as servers answer."""
    watch = services_of(request).watch
    seen = await watch.look()
    async with services_of(request).database.reading() as connection:
        accuracy, proofs = await proof.accuracy(connection), await proof.newest(connection)
        newest = None if seen.accounts is None else await watch.freshness.read(connection, seen.accounts)
    return page(
        request,
        "status.html",
        _UNAVAILABLE if seen.problems else 200,
        seen=seen,
        paused=parameters.paused,
        duties={duty: _WITHOUT[duty] for duty in DUTIES},
        newest=newest,
        accuracy=accuracy,
        proofs=proofs,
        proof_is_old=bool(proofs) and all(one.read_us - one.at_us > OLD_US for one in proofs.values()),
    )
