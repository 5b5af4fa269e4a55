"""What a window makes of its values. A new aggregation starts here and in the store's upserts."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from aggregator.batch import Increment, Point
from aggregator.columns import Segments
from aggregator.memory import I64

Aggregation = Literal["sum", "count", "min", "max", "last", "unique", "gauge"]
Number = int | Decimal
Value = Number | str | None  # a number; a member for `unique`; None for `count`

_SAFE: Final = 2**62  # sums of this size are far from the end of 64 bits


class Points(NamedTuple):
    """Events as a meter reads them, in log order, as columns; each window has some of the rows."""

    values: Sequence[Any]
    times_us: I64
    offsets: I64


def increments_of(aggregation: Aggregation, points: Points, windows: Segments) -> list[Increment]:
    """What its events add to each window."""
    increments = [
        Increment(events, None, first_offset, last_offset)
        for events, first_offset, last_offset in zip(
            (windows.ends - windows.starts).tolist(),
            points.offsets[windows.first_rows].tolist(),
            points.offsets[windows.last_rows].tolist(),
            strict=True,
        )
    ]
    _AGGREGATE[aggregation](increments, points, windows)
    return increments


def _count(_increments: list[Increment], _points: Points, _windows: Segments) -> None:
    """An increment has its number of events already."""


def _sum(increments: list[Increment], points: Points, windows: Segments) -> None:
    for increment, total in zip(increments, _sums(points.values, windows), strict=True):
        increment.value = total


def _sums(values: Sequence[Any], windows: Segments) -> Sequence[Number]:
    if set(map(type, values)) == {int} and max(map(abs, values)) * len(values) < _SAFE:
        totals: list[int] = windows.sums(np.array(values, dtype=np.int64)).tolist()
        return totals
    return [sum(values[row] for row in rows) for rows in windows]


def _min(increments: list[Increment], points: Points, windows: Segments) -> None:
    for increment, rows in zip(increments, windows, strict=True):
        increment.value = min(points.values[row] for row in rows)


def _max(increments: list[Increment], points: Points, windows: Segments) -> None:
    for increment, rows in zip(increments, windows, strict=True):
        increment.value = max(points.values[row] for row in rows)


def _last(increments: list[Increment], points: Points, windows: Segments) -> None:
    times_us, offsets = points.times_us.tolist(), points.offsets.tolist()
    for increment, rows in zip(increments, windows, strict=True):
        newest = max(rows, key=lambda row: (times_us[row], row))
        increment.value = points.values[newest]
        increment.value_time_us, increment.value_offset = times_us[newest], offsets[newest]


def _unique(increments: list[Increment], points: Points, windows: Segments) -> None:
    for increment, rows in zip(increments, windows, strict=True):
        increment.members = {points.values[row] for row in rows}


def _gauge(increments: list[Increment], points: Points, windows: Segments) -> None:
    _last(increments, points, windows)
    times_us, offsets = points.times_us.tolist(), points.offsets.tolist()
    for increment, rows in zip(increments, windows, strict=True):
        increment.points = [Point(times_us[row], offsets[row], points.values[row]) for row in rows]


_AGGREGATE: Final[Mapping[Aggregation, Callable[[list[Increment], Points, Segments], None]]] = {
    "count": _count,
    "sum": _sum,
    "min": _min,
    "max": _max,
    "last": _last,
    "unique": _unique,
    "gauge": _gauge,
}
