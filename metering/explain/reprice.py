"""What usage costs, once more: from events to quantities to amounts, in plain loops over exact ratios.

Plans are read as they are stored: JSON, with numbers as texts. Nothing here is shared with what rates.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from typing import Any, Final, NamedTuple

ZERO: Final = Fraction(0)
US_PER: Final = {"second": 10**6, "minute": 60 * 10**6, "hour": 3600 * 10**6, "day": 86400 * 10**6}

GAUGE: Final = "gauge"
"""Of gauges that cannot carry on each other's points the aggregations are numbered: `gauge 0`, `gauge 1`."""

LineGroup = tuple[str | None, ...] | None
"""Values of a charge's groups, in its order; None for `other`."""


class Use(NamedTuple):
    """One event, late or not, or a void that takes one back, or a correction."""

    subject: str
    aggregation: str
    line: LineGroup
    series: object  # what the points of one gauge have in common
    window_us: int  # the start of its window
    events: int  # 1, or -1 of a void
    value: Fraction | None  # of a `sum` signed, as it adds; None also of what was replaced
    member: str | None
    time_us: int
    offset: int


class Span(NamedTuple):
    """A part of a segment that the versions of a meter count in one way."""

    aggregation: str
    window_us: int
    start_us: int
    end_us: int


@dataclass(slots=True)
class Line:
    """One line of a charge."""

    group: LineGroup
    quantity: Fraction = ZERO
    events: int = 0
    billable: Fraction = ZERO
    price: str | None = None  # None: no price is for it
    unrounded: Fraction = ZERO
    amount: Fraction = ZERO


@dataclass(slots=True)
class Charged:
    """One charge in one segment."""

    name: str
    lines: list[Line] = field(default_factory=list)
    unrounded: Fraction = ZERO
    amount: Fraction = ZERO


@dataclass(slots=True)
class Segment:
    """All charges of one segment."""

    charges: list[Charged] = field(default_factory=list)
    unrounded: Fraction = ZERO
    amount: Fraction = ZERO


def reprice(
    plan: Mapping[str, Any],
    share: Fraction,
    is_first: bool,  # noqa: FBT001 - a fact of the segment
    start_us: int,
    end_us: int,
    uses: Mapping[str, Sequence[Use]],
    spans: Mapping[str, Sequence[Span]],
) -> Segment:
    """What a segment costs.

    Args:
        plan: its stored definition.
        share: of the segment in its whole period.
        is_first: whether flat fees that are charged once are charged here.
        start_us: of the segment.
        end_us: of the segment.
        uses: by charge.
        spans: by charge: how the meter counts in the segment.
    """
    if not plan["prorate"]:
        share = Fraction(1)
    rounding = plan["rounding"]
    at_line = rounding if rounding["at"] == "line" else None
    found = Segment()
    for charge in plan["charges"]:
        if "flat" in charge:
            if plan["prorate"] or is_first:
                fee = Fraction(charge["flat"]) * share
                line = Line((), share, 0, share, "flat", fee, _rounded(fee, at_line))
                found.charges.append(Charged(charge["name"], [line], line.unrounded, line.amount))
            continue
        lines = _lines(charge, start_us, end_us, uses[charge["name"]], spans[charge["name"]])
        found.charges.append(_charge(charge, lines, share, at_line))
    unrounded = sum((charge.unrounded for charge in found.charges), ZERO)
    amount = _rounded(sum((charge.amount for charge in found.charges), ZERO), rounding)
    found.unrounded, found.amount = _bounded(plan, unrounded, amount, share, rounding)
    return found


def _charge(
    charge: Mapping[str, Any], lines: list[Line], share: Fraction, rounding: Mapping[str, Any] | None
) -> Charged:
    found = Charged(charge["name"], lines)
    included = Fraction(charge["included"]) * share
    for line in lines:
        line.price, model = _price_of(charge, line.group)
        if model is None:
            continue
        line.billable = line.quantity if line.quantity < 0 else max(line.quantity - included, ZERO)
        line.unrounded = _cost(model, line.billable)
        line.amount = _rounded(line.unrounded, rounding)
    unrounded = sum((line.unrounded for line in lines), ZERO)
    amount = sum((line.amount for line in lines), ZERO)
    found.unrounded, found.amount = _bounded(charge, unrounded, amount, share, rounding)
    return found


def _bounded(
    limits: Mapping[str, Any],
    unrounded: Fraction,
    amount: Fraction,
    share: Fraction,
    rounding: Mapping[str, Any] | None,
) -> tuple[Fraction, Fraction]:
    """Not less than a minimum, not more than a maximum; a minimum above the maximum cannot be."""
    least, most = limits.get("minimum"), limits.get("maximum")
    if least is not None:
        limit = Fraction(least) * share
        unrounded, amount = max(unrounded, limit), max(amount, _rounded(limit, rounding))
    if most is not None:
        limit = Fraction(most) * share
        unrounded, amount = min(unrounded, limit), min(amount, _rounded(limit, rounding))
    return unrounded, amount


def _price_of(charge: Mapping[str, Any], group: LineGroup) -> tuple[str | None, Mapping[str, Any] | None]:
    if group is None:
        other = charge.get("other")
        return (None, None) if other is None else ("other", other)
    values = dict(zip(charge["group_by"], group, strict=True))
    for number, one in enumerate(charge["prices"], start=1):
        if all(values.get(name) in allowed for name, allowed in one["when"].items()):
            return f"when {number}", one["price"]
    default = charge.get("price")
    return (None, None) if default is None else ("default", default)


def _cost(model: Mapping[str, Any], quantity: Fraction) -> Fraction:
    if quantity == 0:
        return ZERO
    kind = model["model"]
    if kind == "package":
        return ceil(quantity / Fraction(model["size"])) * Fraction(model["unit_price"])
    per = Fraction(model["per"])
    if kind == "per_unit":
        return quantity * Fraction(model["unit_price"]) / per
    tiers = model["tiers"]
    if quantity < 0:
        return quantity * Fraction(tiers[0]["unit_price"]) / per
    cost, start = ZERO, ZERO
    for tier in tiers:
        end = None if tier.get("up_to") is None else Fraction(tier["up_to"])
        price, flat = Fraction(tier["unit_price"]) / per, Fraction(tier["flat"])
        is_here = end is None or quantity <= end
        if kind == "volume" and is_here:
            return quantity * price + flat
        if kind == "graduated":
            part = quantity - start if is_here or end is None else end - start
            cost += part * price + flat
            if is_here:
                return cost
        start = ZERO if end is None else end
    raise ValueError("the last tier has an end")


def _rounded(amount: Fraction, rounding: Mapping[str, Any] | None) -> Fraction:
    if rounding is None:
        return amount
    scale = 10 ** rounding["places"]
    scaled = amount * scale
    below, above = floor(scaled), ceil(scaled)
    nearer = below if scaled - below < above - scaled else above
    is_tie = scaled - below == above - scaled
    whole = {
        "floor": below,
        "ceiling": above,
        "down": below if amount > 0 else above,
        "up": above if amount > 0 else below,
        "half_up": (above if amount > 0 else below) if is_tie else nearer,
        "half_even": (below if below % 2 == 0 else above) if is_tie else nearer,
    }[rounding["mode"]]
    return Fraction(whole, scale)


def _lines(
    charge: Mapping[str, Any], start_us: int, end_us: int, uses: Sequence[Use], spans: Sequence[Span]
) -> list[Line]:
    lines: dict[LineGroup, Line] = {}
    if not charge["group_by"]:
        lines[()] = Line(())
    alike: dict[tuple[str, str, LineGroup], list[Use]] = defaultdict(list)
    for use in uses:
        alike[use.subject, use.aggregation, use.line].append(use)
    for (_, aggregation, group), of_line in alike.items():
        of_kind = [span for span in spans if span.aggregation == aggregation]
        if aggregation.startswith(GAUGE):
            quantity, events = _gauged(charge, start_us, end_us, of_line, of_kind)
            is_last = aggregation == max(span.aggregation for span in spans)
            if charge["rollup"] == "natural" and not is_last:
                quantity = ZERO  # other versions have the say at the segment's end
            if events is None:
                continue
        else:
            quantity = _rolled_up(charge["rollup"], aggregation, of_line, of_kind)
            events = sum(use.events for use in of_line)
        line = lines.setdefault(group, Line(group))
        line.quantity += quantity
        line.events += events
    return list(lines.values())


def _rolled_up(rollup: str, aggregation: str, uses: Sequence[Use], spans: Sequence[Span]) -> Fraction:
    if rollup == "natural":
        return _natural(aggregation, uses)
    by_window: dict[int, list[Use]] = defaultdict(list)
    for use in uses:
        by_window[use.window_us].append(use)
    windows = sum((span.end_us - span.start_us) // span.window_us for span in spans)
    values = [_natural(aggregation, of_window) for of_window in by_window.values()]
    if rollup == "sum_of_max":
        return sum(values, ZERO)
    if rollup == "avg":
        return sum(values, ZERO) / windows
    values += [ZERO] * (windows - len(values))
    return sorted(values)[ceil(Fraction(95, 100) * windows) - 1]


def _natural(aggregation: str, uses: Sequence[Use]) -> Fraction:
    values = [use.value for use in uses if use.value is not None]
    match aggregation:
        case "count":
            return Fraction(sum(use.events for use in uses))
        case "sum":
            return sum(values, ZERO)
        case "min":
            return min(values, default=ZERO)
        case "max":
            return max(values, default=ZERO)
        case "unique":
            return Fraction(len({use.member for use in uses if use.member is not None}))
        case _:
            left = [use for use in uses if use.value is not None]
            newest = max(left, key=lambda use: (use.time_us, use.offset), default=None)
            return ZERO if newest is None or newest.value is None else newest.value


def _gauged(
    charge: Mapping[str, Any], start_us: int, end_us: int, uses: Sequence[Use], spans: Sequence[Span]
) -> tuple[Fraction, int | None]:
    """The quantity of a gauge, and how many points the segment has; None if there is no point at all."""
    by_series: dict[object, list[Use]] = defaultdict(list)
    for use in uses:
        by_series[use.series].append(use)
    area, standing, events, is_there = ZERO, ZERO, 0, False
    first_us = min((span.start_us for span in spans), default=start_us)
    last_us = max((span.end_us for span in spans), default=end_us)
    for points in by_series.values():
        left = _not_voided(points)
        is_there |= bool(left)
        events += sum(point.time_us >= start_us for point in left)
        value, since_us = ZERO, first_us
        for point in left:  # of several at one time the last one stands: the others hold for no time
            if point.time_us >= last_us:
                break
            at_us = max(point.time_us, first_us)
            area += value * (at_us - since_us)
            value, since_us = point.value or ZERO, at_us
        area += value * (last_us - since_us)
        standing += value
    if not is_there:
        return ZERO, None
    if charge["rollup"] == "integral":
        return area / US_PER[charge["per"]], events
    if charge["rollup"] == "time_average":
        return area / (end_us - start_us), events
    return standing, events


def _not_voided(uses: Iterable[Use]) -> list[Use]:
    """Points in order, without those that voids take: of several alike the first."""
    ordered = sorted(uses, key=lambda use: (use.time_us, use.offset))
    taken: dict[tuple[int, Fraction | None], int] = defaultdict(int)
    for use in ordered:
        if use.events < 0:
            taken[use.time_us, use.value] += 1
    left = []
    for use in ordered:
        if use.events > 0:
            if taken[use.time_us, use.value]:
                taken[use.time_us, use.value] -= 1
            else:
                left.append(use)
    return left
