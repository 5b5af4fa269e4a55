"""`/v1/subscriptions`: who pays for whose usage, on which plan."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from aggregator.access import Scope
from aggregator.applying.billing_change import Wanted
from aggregator.rating.terms import SubscriptionVersion
from aggregator.store import prices
from metering.api import tenancy
from metering.api.access import Reading, Writing, reads, writes
from metering.api.bodies import body_of, read_document
from metering.api.changes import WRITTEN, Change, ChangeParameters, change
from metering.api.cursors import cursor, place_of
from metering.api.etags import answer
from metering.api.parameters import NameInPath, Paged, Parameters, TimeText
from schemas.subscription import Subscription

router: Final = APIRouter(prefix="/v1", tags=["subscriptions"])

_LIST: Final = ["subscriptions"]


class SubscriptionTerms(BaseModel):
    """One immutable version of a subscription."""

    version: int
    effective_from: TimeText | None = Field(
        description="Of versions that have begun, the greatest holds. null: from the subscription's start."
    )
    retired: bool = Field(description="Whether nothing is charged any more from then on.")
    definition: dict[str, Any] = Field(description="As in the catalog; `schemas/generated` has its schema.")


class SubscriptionSummary(BaseModel):
    """A subscription as its newest version says."""

    subscription: str
    customer: str
    plan: str
    start: str
    end: str | None
    version: int
    retired: bool


class SubscriptionPage(BaseModel):
    """Subscriptions by name, retired ones too."""

    data: list[SubscriptionSummary]
    next_cursor: str | None


class SubscriptionHistory(SubscriptionSummary):
    """A subscription with every version that it ever had."""

    versions: list[SubscriptionTerms]


@router.get("/subscriptions", response_model=SubscriptionPage, summary="Who pays for whose usage")
async def subscriptions(
    request: Request,
    reading: Annotated[Reading, reads(Scope.RATED_READ)],
    parameters: Annotated[Paged, Query()],
) -> Response:
    """The subscriptions of the token's customers."""
    after = "" if parameters.cursor is None else place_of(parameters.cursor, _LIST, [str])[0]
    names = await prices.subscription_page(
        reading.connection, customers=reading.access.customers, after=after, limit=parameters.limit
    )
    found = await prices.subscriptions(reading.connection, names)
    shown = SubscriptionPage(
        data=[_summary(name, found[name]) for name in names],
        next_cursor=cursor([names[-1]], _LIST) if len(names) == parameters.limit else None,
    )
    return answer(request, shown.model_dump_json().encode())


@router.get(
    "/subscriptions/{name}", response_model=SubscriptionHistory, summary="One subscription, all its versions"
)
async def subscription(
    request: Request,
    reading: Annotated[Reading, reads(Scope.RATED_READ)],
    name: NameInPath,
    _parameters: Annotated[Parameters, Query()],
) -> Response:
    """A subscription, as it is and as it was."""
    versions = await tenancy.subscription(reading.connection, reading.access, name)
    return answer(request, history(name, versions).model_dump_json().encode())


def history(name: str, versions: Sequence[SubscriptionVersion]) -> SubscriptionHistory:
    """Show a subscription with all its versions."""
    return SubscriptionHistory(
        **_summary(name, versions).model_dump(),
        versions=[
            SubscriptionTerms(
                version=one.version,
                effective_from=one.effective_from_us,
                retired=one.retired,
                definition=one.terms.definition(),
            )
            for one in versions
        ],
    )


def _summary(name: str, versions: Sequence[SubscriptionVersion]) -> SubscriptionSummary:
    newest = versions[-1]
    return SubscriptionSummary(
        subscription=name,
        customer=newest.terms.customer,
        plan=newest.terms.plan,
        start=newest.terms.start,
        end=newest.terms.end,
        version=newest.version,
        retired=newest.retired,
    )


@router.put(
    "/subscriptions/{name}",
    response_model=Change,
    summary="Make or change a subscription",
    responses=WRITTEN,
    openapi_extra=body_of(Subscription),
)
async def put_subscription(
    request: Request,
    writing: Annotated[Writing, writes(Scope.SUBSCRIPTIONS_WRITE)],
    name: NameInPath,
    parameters: Annotated[ChangeParameters, Query()],
) -> Response:
    """Make this the subscription's newest version, as `metering catalog apply` would.

    The same twice changes nothing. `If-Match` with the tag of a GET lets it happen only if nobody has changed
    the subscription since; `If-None-Match: *` only if there is none yet.
    """
    wanted = Wanted(subscriptions=[await read_document(request, name, Subscription)], is_whole=False)

    async def read() -> bytes | None:
        found = await prices.subscriptions(writing.connection, [name])
        return history(name, found[name]).model_dump_json().encode() if name in found else None

    return await change(request, writing, parameters, wanted, read)
