"""`/customers`: find one, then its subscriptions, its usage by window and its rated totals."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from aggregator.access import Access, Scope
from aggregator.rating.terms import SubscriptionVersion
from aggregator.store import prices, search, status
from aggregator.store.connection import Connection
from metering.api import tenancy
from metering.api.access import Reading
from metering.api.console.admission import sees
from metering.api.console.pages import page
from metering.api.console.usage import WINDOWS, MeterUsage, meter_usage
from metering.api.parameters import Instant, Parameters, Storable, micros
from metering.api.problems import not_found

router: Final = APIRouter()

MOST_FOUND: Final = 50
MOST_SUBSCRIPTIONS: Final = 100
MOST_PERIODS: Final = 12
MOST_SUBJECTS: Final = 50

CustomerInPath = Annotated[str, Path(max_length=256, pattern=r"^[^\x00]+$")]


class SearchParameters(Parameters):
    """What to look for."""

    q: str = Field("", max_length=256, pattern=r"^[^\x00]*$")


class CustomerParameters(Parameters):
    """Which usage to show."""

    subject: Storable | None = None
    until: Instant | None = None


@router.get("/customers")
async def customers(
    request: Request,
    reading: Annotated[Reading, sees(Scope.RATED_READ)],
    parameters: Annotated[SearchParameters, Query()],
) -> Response:
    """Customers by a part of their names, of their subscriptions' or of their subjects'."""
    found = await search.customers(reading.connection, parameters.q, reading.access.customers, MOST_FOUND + 1)
    return page(
        request, "customers.html", q=parameters.q, found=found[:MOST_FOUND], more=len(found) > MOST_FOUND
    )


@router.get("/customers/{customer:path}")
async def customer(
    request: Request,
    reading: Annotated[Reading, sees(Scope.RATED_READ)],
    customer: CustomerInPath,
    parameters: Annotated[CustomerParameters, Query()],
) -> Response:
    """One customer."""
    connection, access = reading.connection, reading.access
    names = []
    if access.sees(customer):
        names = await prices.subscription_page(connection, customers=[customer], limit=MOST_SUBSCRIPTIONS + 1)
    if not names:
        raise not_found(f"customer {customer}")
    subscriptions = await prices.subscriptions(connection, names[:MOST_SUBSCRIPTIONS])
    newest = await search.newest_periods(connection, subscriptions, MOST_PERIODS)
    subjects, subject, usage = await _usage(connection, access, customer, subscriptions, parameters)
    return page(
        request,
        "customer.html",
        customer=customer,
        subscriptions={name: versions[-1] for name, versions in subscriptions.items()},
        more=len(names) > MOST_SUBSCRIPTIONS,
        rated={name: [one for one in newest if one.subscription == name] for name in subscriptions},
        may_see_usage=access.allows(Scope.USAGE_READ),
        subjects=subjects[:MOST_SUBJECTS],
        more_subjects=len(subjects) > MOST_SUBJECTS,
        subject=subject,
        usage=usage,
        windows=WINDOWS,
    )


async def _usage(
    connection: Connection,
    access: Access,
    customer: str,
    subscriptions: Mapping[str, Sequence[SubscriptionVersion]],
    parameters: CustomerParameters,
) -> tuple[list[str], str | None, list[MeterUsage]]:
    """The customer's subjects, the one that is shown, and what it used of each meter that is charged."""
    if not access.allows(Scope.USAGE_READ):
        return [], None, []
    of_this_one = replace(access, customers=frozenset({customer}))
    visible = await tenancy.visible_subjects(connection, of_this_one, None) or {}
    subjects = sorted(visible)
    subject = parameters.subject if parameters.subject is not None else next(iter(subjects), None)
    until_us = micros(parameters.until) if parameters.until is not None else await _now_us(connection)
    if subject not in visible or subject is None or until_us is None:
        return subjects, subject, []
    plans = await prices.plans(connection, {versions[-1].terms.plan for versions in subscriptions.values()})
    meters = sorted({charge.meter for versions in plans.values() for charge in versions[-1].terms.metered})
    return (
        subjects,
        subject,
        [await meter_usage(connection, meter, subject, visible, until_us) for meter in meters],
    )


async def _now_us(connection: Connection) -> int | None:
    """Where the log stands, for there is no other clock: just behind the frontier furthest ahead."""
    frontiers_us = [one.frontier_us for one in await status.partitions(connection)]
    return max((us + 1 for us in frontiers_us if us is not None), default=None)
