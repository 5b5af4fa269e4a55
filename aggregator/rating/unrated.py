"""Usage that nobody pays for: what it is, why, and the money at risk, which is an estimate.

The estimate is what the same usage would cost on each plan of today that charges for its meter, as if it were
one billing period: from the first unit of the first tier on, nothing included, no minimum, no maximum, not
rounded. The least and the most of these are told with the plans' names, so that they can be reckoned by hand.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Final, NamedTuple

from aggregator.rating.meters import MeterVersion
from aggregator.rating.pricing import Usage, price_of
from aggregator.rating.terms import PlanVersion, Span
from aggregator.rating.tiers import ZERO, price
from aggregator.rating.usage import Groups
from schemas.plan import Plan
from schemas.price import MeteredCharge


class Reason(StrEnum):
    """Why nobody pays. Stored nowhere, but scripted against: never rename one."""

    NO_SUBSCRIPTION = "no_subscription"
    OUTSIDE_SUBSCRIPTION = "outside_subscription"
    NO_CHARGE = "no_charge"
    NO_PRICE = "no_price"


REASONS: Final = MappingProxyType(
    {
        Reason.NO_SUBSCRIPTION: "No subscription has ever named the subject: add it to one.",
        Reason.OUTSIDE_SUBSCRIPTION: "It lies before or after the subject's subscriptions: check their ends.",
        Reason.NO_CHARGE: "The subject's plan does not charge for the meter: add a charge if it should.",
        Reason.NO_PRICE: "The plan charges for the meter, but has no price for this group: add one.",
    }
)


class NotEstimated(StrEnum):
    """Why there is no estimate."""

    NO_PLAN = "no_plan"  # no plan of today charges for the meter
    NO_PLAN_PRICES_ALL = "no_plan_prices_all"  # of those that do, each lacks a price for some of the usage


class SeriesGap(NamedTuple):
    """Usage of one series within one time that nobody pays for; see `Unpaid`."""

    subject: str
    meter_version_id: int
    groups: Groups
    reason: Reason
    gap_start_us: int | None
    first_start_us: int
    last_start_us: int
    events: int


class Place(NamedTuple):
    """Where usage that nobody pays for stands in the order of pages."""

    meter: str
    subject: str
    gap_start_us: int  # the least integer for the beginning of time
    reason: str
    is_other: bool
    groups: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Unpaid:
    """Usage of one meter and subject, in one stretch of time in which nobody pays for it.

    With `no_price` it is that of the group values which lack one, `group` by name; `group` is None for
    `other`, which holds what a cardinality limit turned away. Of all other reasons it is all there is, and
    `group` is empty.
    """

    place: Place
    meter: str
    subject: str
    reason: Reason
    group: Mapping[str, str | None] | None
    start_us: int  # of its first window
    end_us: int  # of its last
    events: int
    series: frozenset[tuple[int, Groups]]  # the meter versions and group values that it is of


class Estimate(NamedTuple):
    """What some usage would cost, in one currency: on the cheapest plan, and on the dearest."""

    currency: str
    least: Fraction
    least_plan: str
    most: Fraction
    most_plan: str


def unpaid(
    meter: str, versions: Mapping[int, MeterVersion], gaps: Iterable[SeriesGap], beginning_us: int
) -> list[Unpaid]:
    """Put together what series of one meter have in common, in order of place.

    Args:
        meter: its name.
        versions: its versions by id; gaps of others are of no time, and left out.
        gaps: what the store has found.
        beginning_us: stands for the beginning of time in places.
    """
    alike: dict[Place, list[SeriesGap]] = defaultdict(list)
    for gap in gaps:
        if gap.meter_version_id in versions:
            named = _named(versions[gap.meter_version_id], gap) if gap.reason is Reason.NO_PRICE else {}
            start_us = beginning_us if gap.gap_start_us is None else gap.gap_start_us
            groups = tuple(sorted((named or {}).items()))
            place = Place(meter, gap.subject, start_us, gap.reason.value, named is None, groups)
            alike[place].append(gap)
    return [_joined(place, parts, versions) for place, parts in sorted(alike.items(), key=_order)]


def prices_of_today(
    plans: Mapping[str, Sequence[Span[PlanVersion]]], meter: str, now_us: int | None
) -> list[Plan]:
    """The terms of each plan that charges for a meter: at a log time, or the last ones.

    Args:
        plans: what `in_force` gives for each.
        meter: its name.
        now_us: log time; None: nothing was closed yet.
    """
    found = []
    for _, spans in sorted(plans.items()):
        standing = [span for span in spans if now_us is None or _holds(span, now_us)]
        terms = standing[-1].version.terms if standing else None
        if terms is not None and any(charge.meter == meter for charge in terms.metered):
            found.append(terms)
    return found


def amount_on(
    plan: Plan, meter: str, lines_of: Callable[[MeteredCharge], Iterable[Usage]]
) -> Fraction | None:
    """What usage of a meter costs on a plan, as if it were one period; None if some of it has no price.

    Of several charges for one meter each takes the lines that it has a price for.

    Args:
        plan: it charges for the meter.
        meter: its name.
        lines_of: the usage as a charge divides and rolls it up.
    """
    amount = ZERO
    priced: set[frozenset[tuple[str, str | None]] | None] = set()
    unpriced: set[frozenset[tuple[str, str | None]] | None] = set()
    for charge in plan.metered:
        if charge.meter != meter:
            continue
        for line in lines_of(charge):
            group = None if line.group is None else frozenset(line.group.items())
            chosen = price_of(charge, line.group)
            if chosen is None:
                unpriced.add(group)
            else:
                priced.add(group)
                amount += sum((tier.amount for tier in price(chosen[1], line.quantity)), ZERO)
    return amount if priced and unpriced <= priced else None


def estimates(priced: Iterable[tuple[Plan, Fraction]]) -> list[Estimate]:
    """The least and the most that usage would cost, by currency; of plans that cost the same, the first."""
    by_currency: dict[str, list[tuple[Fraction, str]]] = defaultdict(list)
    for plan, amount in priced:
        by_currency[plan.currency].append((amount, plan.name))
    return [
        Estimate(currency, *min(amounts), *max(amounts, key=lambda one: one[0]))
        for currency, amounts in sorted(by_currency.items())
    ]


def _named(version: MeterVersion, gap: SeriesGap) -> dict[str, str | None] | None:
    return None if gap.groups is None else dict(zip(version.groups, gap.groups, strict=True))


def _order(item: tuple[Place, Sequence[SeriesGap]]) -> tuple[object, ...]:
    return order_of(item[0])


def order_of(place: Place) -> tuple[object, ...]:
    """A key to sort places by: values that an event did not have come first."""
    groups = tuple((name, value is not None, value or "") for name, value in place.groups)
    return (*place[:5], groups)


def _joined(place: Place, parts: Sequence[SeriesGap], versions: Mapping[int, MeterVersion]) -> Unpaid:
    return Unpaid(
        place=place,
        meter=place.meter,
        subject=place.subject,
        reason=Reason(place.reason),
        group=None if place.is_other else dict(place.groups),
        start_us=min(part.first_start_us for part in parts),
        end_us=max(
            part.last_start_us + versions[part.meter_version_id].definition.window_us for part in parts
        ),
        events=sum(part.events for part in parts),
        series=frozenset((part.meter_version_id, part.groups) for part in parts),
    )


def _holds(span: Span[PlanVersion], now_us: int) -> bool:
    starts = span.start_us is None or span.start_us <= now_us
    return starts and (span.end_us is None or now_us < span.end_us)
