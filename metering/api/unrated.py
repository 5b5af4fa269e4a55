"""`GET /v1/unrated` and `/v1/silent-subscriptions`: what nobody pays for, and who has fallen silent."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from aggregator.access import Scope
from aggregator.rating.amounts import exact_text
from aggregator.rating.meters import Meters
from aggregator.rating.terms import PlanVersion, Span
from aggregator.rating.unrated import Place
from aggregator.store import silence, terms, unrated
from aggregator.store.reading import Stretch
from aggregator.store.silence import AtRisk
from aggregator.store.terms import RatingCatalog
from aggregator.store.unrated import Unrated
from metering.api import tenancy
from metering.api.access import Reading, reads
from metering.api.cursors import cursor, place_of
from metering.api.etags import answer
from metering.api.parameters import Instant, Paged, Storable, TimeText, micros
from metering.api.problems import ProblemResponseError, not_found
from metering.api.services import services_of
from schemas.problems import ProblemCode
from schemas.rated import Exact

router: Final = APIRouter(prefix="/v1", tags=["unrated"])


class SilenceParameters(Paged):
    """Which subscriptions."""

    meter: Storable | None = Field(None, description="Only this meter.")
    subject: Storable | None = Field(None, description="Only subscriptions that name it, or did.")


class UnratedParameters(Paged):
    """Which usage."""

    meter: Storable | None = Field(None, description="Only this meter.")
    subject: Storable | None = Field(None, description="Only this one.")
    from_: Instant | None = Field(None, alias="from", description="Windows that start then or later.")
    to: Instant | None = Field(None, description="Windows that start earlier.")


class Estimate(BaseModel):
    """What usage would cost as one period, in one currency, on the plans of today that charge for it."""

    currency: str
    least: Exact
    least_plan: str = Field(description="The plan on which it costs least.")
    most: Exact
    most_plan: str = Field(description="The plan on which it costs most.")


class UnratedRow(BaseModel):
    """Usage of one meter and subject in one stretch of time in which nobody pays for it."""

    meter: str
    subject: str
    reason: Literal["no_subscription", "outside_subscription", "no_charge", "no_price"]
    group: dict[str, str | None] | None = Field(
        description="With `no_price` the values that have none, null for `other`; else empty: all of it."
    )
    other: bool = Field(description="Whether it holds what the meter's cardinality limit turned away.")
    start: TimeText = Field(description="Of the first window in it.")
    end: TimeText = Field(description="Of the last window in it.")
    quantity: Exact = Field(description="As the meter aggregates it, late usage and voids included.")
    events: int = Field(description="Events behind it, less those withdrawn.")
    at_risk: list[Estimate] = Field(description="An estimate of the money at risk, by currency.")
    not_estimated: Literal["no_plan", "no_plan_prices_all"] | None = Field(
        description="Why there is none: no plan charges for the meter, or none has a price for all of this."
    )


class UnratedPage(BaseModel):
    """Rows by meter, subject and time. A page may have fewer rows than asked for, even none, and go on."""

    data: list[UnratedRow]
    next_cursor: str | None


class ChargedBefore(BaseModel):
    """What a meter came to in the last rated period that was over before it fell silent."""

    currency: str
    amount: Exact
    period_start: TimeText
    version: int


class SilentSubscription(BaseModel):
    """A meter that a subscription pays for, without events for longer than it ever had none before."""

    subscription: str
    customer: str
    meter: str
    subjects: list[str] = Field(description="Whose events there are none of.")
    kind: Literal["silent", "never_used"]
    since: TimeText = Field(description="End of the last window with events; else when it began to pay.")
    until: TimeText = Field(description="Up to here the meter is final: nothing on time can follow.")
    longest_before_s: int | None = Field(description="The longest such time before; null: never used.")
    at_risk: ChargedBefore | None = Field(description="The money at risk in each such period.")
    not_estimated: Literal["never_used", "no_final_period"] | None = Field(description="Why it is null.")


class SilentSubscriptionPage(BaseModel):
    """By subscription and meter. A page may have fewer rows than asked for, even none, and go on."""

    data: list[SilentSubscription]
    next_cursor: str | None


@router.get("/unrated", response_model=UnratedPage, summary="Usage that nobody pays for")
async def usage(
    request: Request,
    reading: Annotated[Reading, reads(Scope.RATED_READ)],
    parameters: Annotated[UnratedParameters, Query()],
) -> Response:
    """What was counted so far and is in no rated total, nor will be, with why and the money at risk.

    A token for some customers sees what their own subscriptions do not charge for, estimated on the plans
    that they are or were on: usage that belongs to no customer is seen by tokens of every customer alone.
    """
    catalog = await _catalog(request, reading)
    query = unrated.Query(
        meters=_meters(catalog, parameters.meter),
        subject=parameters.subject,
        visible=await tenancy.visible_subjects(reading.connection, reading.access, parameters.subject),
        span=Stretch(micros(parameters.from_), micros(parameters.to)),
    )
    asked = ["unrated", parameters.meter, query.subject, list(query.span), _customers(reading)]
    after = None if parameters.cursor is None else _place(parameters.cursor, asked)
    page = await unrated.page(reading.connection, query, after, parameters.limit)
    plans = await _plans(catalog, reading) if page.rows else {}
    found = await unrated.estimated(reading.connection, catalog.meters, plans, page.rows)
    shown = UnratedPage(
        data=list(map(_row, found)),
        next_cursor=None if page.end is None else cursor(_told(page.end), asked),
    )
    return answer(request, shown.model_dump_json().encode())


@router.get(
    "/silent-subscriptions", response_model=SilentSubscriptionPage, summary="Subscriptions that nobody uses"
)
async def silent_subscriptions(
    request: Request,
    reading: Annotated[Reading, reads(Scope.RATED_READ)],
    parameters: Annotated[SilenceParameters, Query()],
) -> Response:
    """Meters of the token's customers' subscriptions that have fallen silent, by the clock of the log."""
    catalog = await _catalog(request, reading)
    query = silence.Query(_meters(catalog, parameters.meter), parameters.subject, reading.access.customers)
    asked = ["silent", parameters.meter, query.subject, _customers(reading)]
    after = None
    if parameters.cursor is not None:
        after = silence.Place(*place_of(parameters.cursor, asked, [str, str]))
    page = await silence.page(reading.connection, query, after, parameters.limit)
    found = await silence.at_risk(reading.connection, page.rows)
    shown = SilentSubscriptionPage(
        data=list(map(_silent, found)),
        next_cursor=None if page.end is None else cursor(list(page.end), asked),
    )
    return answer(request, shown.model_dump_json().encode())


async def _catalog(request: Request, reading: Reading) -> RatingCatalog:
    services = services_of(request)
    services.catalog = await terms.rating_catalog(reading.connection, services.catalog)
    return services.catalog


def _meters(catalog: RatingCatalog, name: str | None) -> Meters:
    if name is None:
        return catalog.meters
    if name not in catalog.meters:
        raise not_found(f"meter {name}")
    return {name: catalog.meters[name]}


def _customers(reading: Reading) -> list[str]:
    return sorted(reading.access.customers or [])


async def _plans(catalog: RatingCatalog, reading: Reading) -> Mapping[str, Sequence[Span[PlanVersion]]]:
    """The plans that an estimate may name: one may have been made for another customer."""
    if reading.access.customers is None:
        return catalog.plans
    theirs = await tenancy.own_subscriptions(reading.connection, reading.access)
    names = {version.terms.plan for versions in theirs.values() for version in versions}
    return {name: spans for name, spans in catalog.plans.items() if name in names}


def _place(text: str, asked: Sequence[Any]) -> Place:
    kinds = [str, str, int, str, bool, list]
    meter, subject, start_us, reason, is_other, groups = place_of(text, asked, kinds)
    try:
        named = tuple((str(name), None if value is None else str(value)) for name, value in groups)
    except (TypeError, ValueError):
        raise ProblemResponseError(ProblemCode.INVALID_CURSOR, "It cannot be read.") from None
    return Place(meter, subject, start_us, reason, is_other, named)


def _told(place: Place) -> list[Any]:
    return [*place[:5], [list(one) for one in place.groups]]


def _row(one: Unrated) -> UnratedRow:
    return UnratedRow(
        meter=one.usage.meter,
        subject=one.usage.subject,
        reason=one.usage.reason.value,
        group=None if one.usage.group is None else dict(one.usage.group),
        other=one.usage.group is None,
        start=one.usage.start_us,
        end=one.usage.end_us,
        quantity=exact_text(one.quantity),
        events=one.usage.events,
        at_risk=[
            Estimate(
                currency=estimate.currency,
                least=exact_text(estimate.least),
                least_plan=estimate.least_plan,
                most=exact_text(estimate.most),
                most_plan=estimate.most_plan,
            )
            for estimate in one.at_risk
        ],
        not_estimated=None if one.not_estimated is None else one.not_estimated.value,
    )


def _silent(one: AtRisk) -> SilentSubscription:
    found, before = one.silence, one.before
    longest_us = found.longest_before_us
    return SilentSubscription(
        subscription=found.charged.subscription,
        customer=found.charged.customer,
        meter=found.charged.meter,
        subjects=found.charged.subjects,
        kind=found.kind.value,
        since=found.since_us,
        until=found.until_us,
        longest_before_s=None if longest_us is None else longest_us // 1_000_000,
        at_risk=None
        if before is None
        else ChargedBefore(
            currency=before.currency,
            amount=exact_text(before.amount),
            period_start=before.period_start_us,
            version=before.version,
        ),
        not_estimated=None if one.not_known is None else one.not_known.value,
    )
