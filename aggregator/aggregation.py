"""How a window takes one more value. A new aggregation starts here and in the store's upserts."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, Literal

from aggregator.batch import Increment

Aggregation = Literal["sum", "count", "min", "max", "last", "unique"]
Value = int | Decimal | str | None  # a number; a member for `unique`; None for `count`
Combine = Callable[[Increment, Value, int, int], None]


def _count(_row: Increment, _value: Value, _time_us: int, _offset: int) -> None:
    """Every row counts its events; there is nothing else to keep."""


def _sum(row: Increment, value: Value, _time_us: int, _offset: int) -> None:
    row.value += value  # type: ignore[operator] # numbers, by the meter's reading


def _min(row: Increment, value: Value, _time_us: int, _offset: int) -> None:
    if row.value is None or value < row.value:  # type: ignore[operator]
        row.value = value  # type: ignore[assignment]


def _max(row: Increment, value: Value, _time_us: int, _offset: int) -> None:
    if row.value is None or value > row.value:  # type: ignore[operator]
        row.value = value  # type: ignore[assignment]


def _last(row: Increment, value: Value, time_us: int, offset: int) -> None:
    if (
        row.value_time_us is None or time_us >= row.value_time_us
    ):  # offsets only grow: a tie goes to the later
        row.value, row.value_time_us, row.value_offset = value, time_us, offset  # type: ignore[assignment]


def _unique(row: Increment, value: Value, _time_us: int, _offset: int) -> None:
    row.members.add(value)  # type: ignore[union-attr, arg-type]


COMBINE: Final[Mapping[Aggregation, Combine]] = {
    "count": _count,
    "sum": _sum,
    "min": _min,
    "max": _max,
    "last": _last,
    "unique": _unique,
}


def empty(aggregation: Aggregation, offset: int) -> Increment:
    """What a window is given before its first event of a batch, which lies at `offset`."""
    return Increment(
        events=0,
        value=0 if aggregation == "sum" else None,
        first_offset=offset,
        last_offset=offset,
        members=set() if aggregation == "unique" else None,
    )
