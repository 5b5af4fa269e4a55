"""What a window makes of its values. A new aggregation starts here and in the store's upserts."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

from aggregator.batch import Increment
from aggregator.memory import I64

Aggregation = Literal["sum", "count", "min", "max", "last", "unique"]
Number = int | Decimal
Value = Number | str | None  # a number; a member for `unique`; None for `count`


class Points(NamedTuple):
    """Events as a meter reads them, in log order, as columns; a window has some of the rows."""

    values: Sequence[Any]
    times_us: I64
    offsets: Sequence[int]


def _count(points: Points, rows: Sequence[int]) -> Increment:
    return _increment(points, rows, None)


def _sum(points: Points, rows: Sequence[int]) -> Increment:
    return _increment(points, rows, sum([points.values[row] for row in rows]))


def _min(points: Points, rows: Sequence[int]) -> Increment:
    return _increment(points, rows, min(points.values[row] for row in rows))


def _max(points: Points, rows: Sequence[int]) -> Increment:
    return _increment(points, rows, max(points.values[row] for row in rows))


def _last(points: Points, rows: Sequence[int]) -> Increment:
    newest = max(rows, key=lambda row: (points.times_us[row], row))
    increment = _increment(points, rows, points.values[newest])
    increment.value_time_us, increment.value_offset = int(points.times_us[newest]), points.offsets[newest]
    return increment


def _unique(points: Points, rows: Sequence[int]) -> Increment:
    increment = _increment(points, rows, None)
    increment.members = {points.values[row] for row in rows}
    return increment


def _increment(points: Points, rows: Sequence[int], value: Number | None) -> Increment:
    return Increment(len(rows), value, points.offsets[rows[0]], points.offsets[rows[-1]])


INCREMENT_OF: Final[Mapping[Aggregation, Callable[[Points, Sequence[int]], Increment]]] = {
    "count": _count,
    "sum": _sum,
    "min": _min,
    "max": _max,
    "last": _last,
    "unique": _unique,
}
"""What a window's events add to it, by aggregation."""
