"""`/v1/plans`: what usage costs."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from aggregator.access import Access, Scope
from aggregator.applying.billing_change import Wanted
from aggregator.rating.terms import PlanVersion
from aggregator.store import prices
from aggregator.store.connection import Connection
from metering.api import tenancy
from metering.api.access import Reading, Writing, reads, writes
from metering.api.bodies import body_of, read_document
from metering.api.changes import WRITTEN, Change, ChangeParameters, change
from metering.api.etags import answer
from metering.api.parameters import NameInPath, Parameters, TimeText
from metering.api.problems import not_found
from schemas.plan import Plan

router: Final = APIRouter(prefix="/v1", tags=["plans"])


class PlanTerms(BaseModel):
    """One immutable version of a price plan."""

    version: int
    effective_from: TimeText | None = Field(
        description="Of versions that have begun, the greatest holds. null: from the beginning."
    )
    retired: bool = Field(description="Whether it charges nothing any more from then on.")
    definition: dict[str, Any] = Field(description="As in the catalog; `schemas/generated` has its schema.")


class PlanHistory(BaseModel):
    """A price plan with every version that it ever had."""

    plan: str
    versions: list[PlanTerms]


class Plans(BaseModel):
    """Price plans; there are not so many that this has pages."""

    data: list[PlanHistory]


@router.get("/plans", response_model=Plans, summary="What usage costs")
async def plans(
    request: Request,
    reading: Annotated[Reading, reads(Scope.RATED_READ)],
    _parameters: Annotated[Parameters, Query()],
) -> Response:
    """Every price plan; a token for some customers sees those that their subscriptions are or were on."""
    found = await _visible_plans(reading.connection, reading.access)
    shown = Plans(data=[history(name, versions) for name, versions in sorted(found.items())])
    return answer(request, shown.model_dump_json().encode())


@router.get("/plans/{name}", response_model=PlanHistory, summary="One price plan, all its versions")
async def plan(
    request: Request,
    reading: Annotated[Reading, reads(Scope.RATED_READ)],
    name: NameInPath,
    _parameters: Annotated[Parameters, Query()],
) -> Response:
    """A price plan, as it is and as it was."""
    found = await _visible_plans(reading.connection, reading.access, name)
    if name not in found:
        raise not_found(f"plan {name}")
    return answer(request, history(name, found[name]).model_dump_json().encode())


def history(name: str, versions: Sequence[PlanVersion]) -> PlanHistory:
    """Show a plan with all its versions."""
    return PlanHistory(
        plan=name,
        versions=[
            PlanTerms(
                version=one.version,
                effective_from=one.effective_from_us,
                retired=one.retired,
                definition=one.terms.definition(),
            )
            for one in versions
        ],
    )


async def _visible_plans(
    connection: Connection, access: Access, name: str | None = None
) -> Mapping[str, Sequence[PlanVersion]]:
    """A plan may have been made for one customer: others do not see it."""
    names = None if name is None else {name}
    if access.customers is not None:
        theirs = await tenancy.own_subscriptions(connection, access)
        on = {version.terms.plan for versions in theirs.values() for version in versions}
        names = on if names is None else on & names
    return await prices.plans(connection, names)


@router.put(
    "/plans/{name}",
    response_model=Change,
    summary="Make or change a price plan",
    responses=WRITTEN,
    openapi_extra=body_of(Plan),
)
async def put_plan(
    request: Request,
    writing: Annotated[Writing, writes(Scope.PLANS_WRITE)],
    name: NameInPath,
    parameters: Annotated[ChangeParameters, Query()],
) -> Response:
    """Make this the plan's newest version, as `metering catalog apply` would; the same twice changes nothing.

    `If-Match` with the tag of a GET lets it happen only if nobody has changed the plan since;
    `If-None-Match: *` only if there is none yet.
    """
    wanted = Wanted(plans=[await read_document(request, name, Plan)], is_whole=False)

    async def read() -> bytes | None:
        found = await prices.plans(writing.connection, [name])
        return history(name, found[name]).model_dump_json().encode() if name in found else None

    return await change(request, writing, parameters, wanted, read)
