"""The oracle of rating: plain loops over events, and nothing of the code under test.

It takes a log of accepted events and voids, a meter, a charge and a price as tests write them, and says what
a line comes to. Every time here is a whole minute, so that a gauge can be walked minute by minute.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US

Group = tuple[str | None, ...]


@dataclass(frozen=True)
class Logged:
    """An accepted event, or the void of one; `log_time_us` is the frontier that it was counted at."""

    offset: int
    log_time_us: int
    type: str
    subject: str
    time_us: int
    data: Mapping[str, Any]
    is_void: bool = False


@dataclass(frozen=True)
class MeterRule:
    event_type: str
    aggregation: str
    value: str | None
    window_us: int
    grace_us: int
    groups: tuple[str, ...] = ()

    def start_us(self, logged: Logged) -> int:
        return logged.time_us // self.window_us * self.window_us

    def reads(self, logged: Logged) -> bool:
        """An event without the value is an error of the meter, and counts nothing."""
        return logged.type == self.event_type and (self.value is None or self.value in logged.data)

    def is_in(self, logged: Logged, cut_us: int | None) -> bool:
        """What is on time is in every version; an adjustment only if it is older than the cut."""
        is_late = logged.log_time_us >= self.start_us(logged) + self.window_us + self.grace_us
        return cut_us is None or not (is_late or logged.is_void) or logged.log_time_us < cut_us


@dataclass(frozen=True)
class ChargeRule:
    meter: MeterRule
    rollup: str = "natural"
    per_us: int = HOUR_US
    group_by: tuple[str, ...] = ()
    included: Fraction = Fraction(0)
    price: Mapping[str, Any] = field(default_factory=dict)
    prices: Sequence[tuple[Mapping[str, str], Mapping[str, Any]]] = ()


@dataclass(frozen=True)
class LineFound:
    quantity: Fraction
    unrounded: Fraction
    amount: Fraction


def lines(
    log: Sequence[Logged],
    charge: ChargeRule,
    subjects: Iterable[str],
    start_us: int,
    end_us: int,
    cut_us: int | None,
    *,
    share: Fraction = Fraction(1),
    places: int | None = 2,
) -> dict[Group, LineFound]:
    """The lines of a charge in a segment; `places` None leaves them as they are."""
    meter = charge.meter
    quantities: dict[Group, Fraction] = {}
    if not charge.group_by:
        quantities[()] = Fraction(0)
    for subject in subjects:
        counted = [
            one for one in log if one.subject == subject and meter.reads(one) and meter.is_in(one, cut_us)
        ]
        if meter.aggregation in {"min", "max", "last", "unique"}:
            counted = [one for one in counted if not one.is_void]
        for group in _groups(counted, charge, start_us, end_us):
            mine = [one for one in counted if _group(one, charge.group_by) == group]
            quantity = _quantity(mine, charge, start_us, end_us)
            quantities[group] = quantities.get(group, Fraction(0)) + quantity
    found = {}
    for group, quantity in quantities.items():
        billable = quantity if quantity < 0 else max(Fraction(0), quantity - charge.included * share)
        unrounded = cost(_price(charge, group), billable)
        found[group] = LineFound(
            quantity, unrounded, unrounded if places is None else cents(unrounded, places)
        )
    return found


def _groups(counted: Iterable[Logged], charge: ChargeRule, start_us: int, end_us: int) -> list[Group]:
    """Those that have usage in the segment; of a gauge, those that had any before too."""
    found: list[Group] = []
    for one in counted:
        since_us = 0 if charge.meter.aggregation == "gauge" else start_us
        group = _group(one, charge.group_by)
        if since_us <= one.time_us < end_us and group not in found:
            found.append(group)
    return found


def _group(one: Logged, names: Iterable[str]) -> Group:
    return tuple(one.data.get(name) for name in names)


def _quantity(mine: Sequence[Logged], charge: ChargeRule, start_us: int, end_us: int) -> Fraction:
    meter = charge.meter
    inside = [one for one in mine if start_us <= one.time_us < end_us]
    if meter.aggregation == "gauge":
        series: dict[Group, list[Logged]] = {}
        for one in mine:
            series.setdefault(_group(one, meter.groups), []).append(one)
        return sum((_gauge(points, charge, start_us, end_us) for points in series.values()), Fraction(0))
    if charge.rollup == "natural":
        return _worth(inside, meter)
    windows = [
        _worth([one for one in inside if meter.start_us(one) == window_us], meter)
        for window_us in range(start_us, end_us, meter.window_us)
    ]
    if charge.rollup == "sum_of_max":
        return sum(windows, Fraction(0))
    if charge.rollup == "avg":
        return sum(windows, Fraction(0)) / len(windows)
    rank = 1
    while Fraction(rank, len(windows)) < Fraction(95, 100):
        rank += 1
    return sorted(windows)[rank - 1]


def _worth(inside: Sequence[Logged], meter: MeterRule) -> Fraction:
    worth = Fraction(0)
    for one in sorted(inside, key=lambda one: (one.time_us, one.offset)):
        sign = -1 if one.is_void else 1
        value, is_first = _value(one, meter), one is min(inside, key=lambda one: (one.time_us, one.offset))
        match meter.aggregation:
            case "sum":
                worth += sign * value
            case "count":
                worth += sign
            case "min":
                worth = value if is_first else min(worth, value)
            case "max":
                worth = value if is_first else max(worth, value)
            case "last":
                worth = value
            case "unique":
                worth = Fraction(len({one.data[str(meter.value)] for one in inside}))
    return worth


def _value(one: Logged, meter: MeterRule) -> Fraction:
    if meter.value is None or meter.aggregation == "unique":
        return Fraction(0)
    return Fraction(str(one.data[meter.value]))


def _gauge(points: Sequence[Logged], charge: ChargeRule, start_us: int, end_us: int) -> Fraction:
    """A void takes the oldest point of its time and value away; the level is read at every minute."""
    standing = sorted((one for one in points if not one.is_void), key=lambda one: (one.time_us, one.offset))
    for void in (one for one in points if one.is_void):
        for one in standing:
            if one.time_us == void.time_us and one.data == void.data:
                standing.remove(one)
                break
    area = level = Fraction(0)
    for minute_us in range(start_us, end_us, MINUTE_US):
        while standing and standing[0].time_us <= minute_us:
            level = _value(standing.pop(0), charge.meter)
        area += level * MINUTE_US
    match charge.rollup:
        case "integral":
            return area / charge.per_us
        case "time_average":
            return area / (end_us - start_us)
        case _:
            return level


def _price(charge: ChargeRule, group: Group) -> Mapping[str, Any]:
    named = dict(zip(charge.group_by, group, strict=True))
    for when, price in charge.prices:
        if all(named[name] == text for name, text in when.items()):
            return price
    return charge.price


def cost(price: Mapping[str, Any], quantity: Fraction) -> Fraction:
    """What a quantity costs, as a price page says it."""
    return _COSTS[price["model"]](price, quantity)


def _per_unit(price: Mapping[str, Any], quantity: Fraction) -> Fraction:
    return quantity * Fraction(str(price["unit_price"])) / Fraction(str(price.get("per", 1)))


def _package(price: Mapping[str, Any], quantity: Fraction) -> Fraction:
    packages = 0
    while quantity > packages * Fraction(str(price["size"])):
        packages += 1
    return packages * Fraction(str(price["unit_price"]))


def _graduated(price: Mapping[str, Any], quantity: Fraction) -> Fraction:
    total, below = Fraction(0), Fraction(0)
    for tier in price["tiers"]:
        top = Fraction(str(tier["up_to"])) if "up_to" in tier else quantity
        inside = min(quantity, top) - below
        if inside <= 0:
            break
        total += _per_unit({**tier, "per": price.get("per", 1)}, inside) + Fraction(str(tier.get("flat", 0)))
        below = top
    return total


def _volume(price: Mapping[str, Any], quantity: Fraction) -> Fraction:
    if quantity == 0:
        return Fraction(0)
    for tier in price["tiers"]:
        if "up_to" not in tier or quantity <= Fraction(str(tier["up_to"])):
            fee = Fraction(str(tier.get("flat", 0)))
            return _per_unit({**tier, "per": price.get("per", 1)}, quantity) + fee
    raise AssertionError(price)


_COSTS: dict[str, Callable[[Mapping[str, Any], Fraction], Fraction]] = {
    "per_unit": _per_unit,
    "package": _package,
    "graduated": _graduated,
    "volume": _volume,
}


def cents(amount: Fraction, places: int) -> Fraction:
    """The amount rounded half up, by `decimal`: 200 digits tell every tie from what is near it."""
    with localcontext(prec=200):
        exact = Decimal(amount.numerator) / Decimal(amount.denominator)
        return Fraction(exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP))
