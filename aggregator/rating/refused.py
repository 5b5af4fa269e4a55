"""What refused usage would have come to, and the money at risk, which is an estimate.

It is priced as usage that nobody pays for is (`aggregator.rating.unrated`): each subject's as one billing
period, on each plan of today that charges for its meter. Of an event by itself only what adds up can be told:
`sum` and `count`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from aggregator.catalog import Catalog
from aggregator.meter import Meter
from aggregator.rating.meters import Meters
from aggregator.rating.pricing import Usage
from aggregator.rating.terms import PlanVersion, Span
from aggregator.rating.unrated import amount_on, estimates, prices_of_today
from schemas.plan import Plan
from schemas.price import MeteredCharge
from schemas.wire import Event, Refusal

_ADDS_UP: Final = ("sum", "count")
_ONE_ROW: Final = np.array([0])

Groups = tuple[tuple[str, str | None], ...]
"""Values of a meter's groups, by name."""


class Whose(NamedTuple):
    """Usage is priced by these."""

    meter: str
    subject: str


class WouldBe(NamedTuple):
    """What one meter would have made of an event."""

    whose: Whose
    groups: Groups
    quantity: Fraction


class Quantity(NamedTuple):
    """What usage of one meter comes to."""

    meter: str
    events: int
    quantity: Fraction


class Money(NamedTuple):
    """The least and the most that usage would cost, in one currency."""

    currency: str
    least: Fraction
    most: Fraction


class AtRisk(NamedTuple):
    """Refused usage that is told of together; `not_estimated` records could not be read, or have no price."""

    quantities: Sequence[Quantity]
    money: Sequence[Money]
    not_estimated: int


@dataclass(slots=True)
class RefusedUsage:
    """Adds refused records up."""

    lines: dict[Whose, dict[Groups, list[Fraction]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    records: Counter[frozenset[Whose]] = field(default_factory=Counter)

    def add(self, read: Sequence[WouldBe]) -> None:
        """One more record, by what meters would have made of it; of nothing, if it cannot be read."""
        for one in read:
            self.lines[one.whose][one.groups].append(one.quantity)
        self.records[frozenset(one.whose for one in read)] += 1

    def at_risk(
        self, plans: Mapping[str, Sequence[Span[PlanVersion]]], now_us: int | None, unread: int
    ) -> AtRisk:
        """What it comes to; `unread` more records were not looked at."""
        priced: set[Whose] = set()
        quantities: dict[str, Quantity] = {}
        money: dict[str, Money] = {}
        for whose, lines in sorted(self.lines.items()):
            before = quantities.get(whose.meter, Quantity(whose.meter, 0, Fraction(0)))
            quantities[whose.meter] = Quantity(
                whose.meter,
                before.events + sum(map(len, lines.values())),
                before.quantity + sum((sum(parts, Fraction(0)) for parts in lines.values()), Fraction(0)),
            )
            for estimate in _estimates(whose.meter, lines, prices_of_today(plans, whose.meter, now_us)):
                priced.add(whose)
                so_far = money.get(estimate.currency, Money(estimate.currency, Fraction(0), Fraction(0)))
                money[estimate.currency] = Money(
                    estimate.currency, so_far.least + estimate.least, so_far.most + estimate.most
                )
        not_estimated = sum(count for whose, count in self.records.items() if not whose & priced)
        return AtRisk(list(quantities.values()), list(money.values()), not_estimated + unread)


def would_be(
    event: Event | Refusal, meter_version_id: int | None, catalog: Catalog, meters: Meters
) -> list[WouldBe]:
    """What meters would have made of a refused record; nothing, if it cannot be read.

    Args:
        event: the record as it is read today.
        meter_version_id: the one that could not read it, so that its newest version is asked; None: all are.
        catalog: every meter.
        meters: the same by name.
    """
    if isinstance(event, Refusal) or event.control is not None:
        return []
    if meter_version_id is not None:
        failed = catalog.versions[meter_version_id]
        newest = [catalog.versions[one.meter_version_id] for one in meters.get(failed.name, ())[-1:]]
        asked = [meter for meter in newest if meter.event_type == event.type]
    else:
        timeline = catalog.timelines.get(event.type)
        times_us = np.array([event.time_us])
        spans = [] if timeline is None else timeline.spans(_ONE_ROW, times_us)
        asked = [meter for of_span, _ in spans for meter in of_span]
    return [one for meter in asked for one in _read(meter, event, meters)]


def _read(meter: Meter, event: Event, meters: Meters) -> list[WouldBe]:
    if meter.aggregation not in _ADDS_UP or not len(meter.applying([event], _ONE_ROW)):
        return []
    columns = meter.read([event])
    if columns.refused:
        return []
    version = next(one for one in meters[meter.name] if one.meter_version_id == meter.meter_version_id)
    value = columns.values[0]
    quantity = Fraction(1) if value is None else Fraction(value)
    groups = tuple(zip(version.groups, columns.groups.of(0), strict=True))
    return [WouldBe(Whose(meter.name, event.subject), groups, quantity)]


def _estimates(meter: str, lines: Mapping[Groups, Sequence[Fraction]], plans: Iterable[Plan]) -> list[Money]:
    def lines_of(charge: MeteredCharge) -> list[Usage]:
        merged: dict[Groups, list[Fraction]] = defaultdict(list)
        for groups, parts in lines.items():
            merged[tuple((name, value) for name, value in groups if name in charge.group_by)] += parts
        return [Usage(dict(groups), sum(parts, Fraction(0)), len(parts)) for groups, parts in merged.items()]

    amounts = [
        (plan, amount_on(plan, meter, lines_of))
        for plan in plans
        if all(charge.rollup == "natural" for charge in plan.metered if charge.meter == meter)
    ]
    found = estimates((plan, amount) for plan, amount in amounts if amount is not None)
    return [Money(one.currency, one.least, one.most) for one in found]
