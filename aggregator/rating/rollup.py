"""From windows, members and points to the quantity of a line; exactly.

Everything here is about one subject, one meter and one line of a charge: the caller rolls up each subject of
a subscription alone and adds the quantities, and so it does with meter versions whose aggregations differ.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final, Literal, NamedTuple, TypeAlias

from schemas.catalog import Aggregation
from schemas.price import TimeUnit

ZERO: Final = Fraction(0)

US_PER: Final[Mapping[TimeUnit, int]] = {
    "second": 1_000_000,
    "minute": 60_000_000,
    "hour": 3_600_000_000,
    "day": 86_400_000_000,
}
"""Microseconds; a day of an integral is 24 hours, whatever a zone's clocks do."""

WindowedRollup: TypeAlias = Literal["p95", "avg", "sum_of_max"]


class Tally(NamedTuple):
    """What a part of the usage comes to: a window of one series and shard, an adjustment, or a sum of such.

    `value` is a signed contribution for `sum`, without meaning for `count` and `unique`; of `last`, it is the
    newest value, at that time and offset.
    """

    events: int
    value: Fraction = ZERO
    time_us: int = 0
    offset: int = 0


class Point(NamedTuple):
    """A gauge's value from its time on; with -1 events a void, which takes away one such point."""

    time_us: int
    offset: int
    value: Fraction
    events: int = 1


def natural(aggregation: Aggregation, tallies: Iterable[Tally]) -> Fraction:
    """What the parts come to together, as the meter aggregates; zero without parts.

    sum: values added; count: events added; min, max: the least, the greatest; last: the newest by time, then
    offset. `unique` needs the members (`distinct`), `gauge` the points (`standing`).
    """
    parts = list(tallies)
    if not parts:
        return ZERO
    match aggregation:
        case "sum":
            return sum((part.value for part in parts), ZERO)
        case "count":
            return Fraction(sum(part.events for part in parts))
        case "min":
            return min(part.value for part in parts)
        case "max":
            return max(part.value for part in parts)
        case "last":
            return max(parts, key=lambda part: (part.time_us, part.offset)).value
        case _:
            raise ValueError(f"a {aggregation} meter has no tallies")


def distinct(members: Iterable[Hashable]) -> Fraction:
    """How many different members there are, whichever windows, series and shards they come from."""
    return Fraction(len(set(members)))


def windowed(
    rollup: WindowedRollup, aggregation: Aggregation, tallies: Iterable[tuple[int, Tally]], windows: int
) -> Fraction:
    """The 95th percentile, the average, or the sum of a segment's windows.

    Tallies come with the start of their window; those of one window are merged as the meter aggregates. All
    windows count: one without events is a zero. p95 is the nearest rank: of N windows in ascending order the
    one at ceil(0.95 · N), so a value that occurred.

    Args:
        rollup: which of them.
        aggregation: of the meter.
        tallies: of all windows with events.
        windows: how many the segment has, those without events too.
    """
    by_window: dict[int, list[Tally]] = {}
    for start_us, tally in tallies:
        by_window.setdefault(start_us, []).append(tally)
    values = [natural(aggregation, parts) for parts in by_window.values()]
    if windows < len(values):
        raise ValueError(f"{len(values)} windows of a segment that has {windows}")
    match rollup:
        case "sum_of_max":
            return sum(values, ZERO)
        case "avg":
            return sum(values, ZERO) / windows if windows else ZERO
        case "p95":
            return _nearest_rank(values, windows)


def _nearest_rank(values: list[Fraction], windows: int) -> Fraction:
    if not windows:
        return ZERO
    ascending = sorted([*values, *[ZERO] * (windows - len(values))])
    return ascending[-(-95 * windows // 100) - 1]


def standing(series: Iterable[Sequence[Point]], end_us: int) -> Fraction:
    """A gauge's natural roll-up: the value that stands at the end, of each series, added."""
    return sum((_value_before(_steps(points), end_us) for points in series), ZERO)


def integral(series: Iterable[Sequence[Point]], start_us: int, end_us: int, per: TimeUnit) -> Fraction:
    """Σ value · duration over a segment, in units of `per`; of each series, added.

    A value holds from its point to the next. What holds at the start is the last point before it, carried
    in; without one it is zero. Each series has its points of the segment and at least that one.
    """
    return _area(series, start_us, end_us) / US_PER[per]


def time_average(series: Iterable[Sequence[Point]], start_us: int, end_us: int) -> Fraction:
    """The average over a segment's time: the integral divided by the duration."""
    return _area(series, start_us, end_us) / (end_us - start_us)


def _area(series: Iterable[Sequence[Point]], start_us: int, end_us: int) -> Fraction:
    """Value times microseconds."""
    return sum((_area_of(_steps(points), start_us, end_us) for points in series), ZERO)


def _area_of(steps: Sequence[Point], start_us: int, end_us: int) -> Fraction:
    area, value, since_us = ZERO, ZERO, start_us
    for step in steps:
        at_us = min(max(step.time_us, start_us), end_us)
        area += value * (at_us - since_us)
        value, since_us = step.value, at_us
    return area + value * (end_us - since_us)


def _value_before(steps: Sequence[Point], end_us: int) -> Fraction:
    return next((step.value for step in reversed(steps) if step.time_us < end_us), ZERO)


def _steps(points: Iterable[Point]) -> list[Point]:
    """The points that stand, in order of time: those not voided, and of several at one time the last offset.

    A void takes away the point with the least offset among those of its time and value; one whose point is
    not among these takes away nothing.
    """
    voids: dict[tuple[int, Fraction], int] = {}
    added = []
    for point in sorted(points, key=lambda point: (point.time_us, point.offset)):
        if point.events < 0:
            where = (point.time_us, point.value)
            voids[where] = voids.get(where, 0) - point.events
        else:
            added.append(point)
    newest: dict[int, Point] = {}
    for point in added:
        where = (point.time_us, point.value)
        if voids.get(where, 0):
            voids[where] -= 1
        else:
            newest[point.time_us] = point
    return list(newest.values())
