"""`/findings`: what `metering doctor` finds, but for the proof of whole tables, which would take too long."""

from typing import Annotated, Final

from fastapi import APIRouter, Request, Response

from aggregator.access import Access, Scope
from metering.api.console.admission import enters
from metering.api.console.pages import page
from metering.api.services import services_of
from metering.doctor.check import Outcome

router: Final = APIRouter()


@router.get("/findings")
async def findings(request: Request, _access: Annotated[Access, enters(Scope.STATUS_READ)]) -> Response:
    """What is not as it should be, the worst first; what could not be looked at; and what holds."""
    results = await services_of(request).checkup.results()
    by_outcome = {outcome: [one for one in results if one.outcome is outcome] for outcome in Outcome}
    return page(
        request,
        "findings.html",
        found=sorted(by_outcome[Outcome.FOUND], key=lambda one: one.check.severity.badness, reverse=True),
        unknown=by_outcome[Outcome.UNKNOWN],
        holding=by_outcome[Outcome.OK],
    )
