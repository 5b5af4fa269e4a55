"""Reads two schemas that counted the same log, side by side, each in one snapshot."""

from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any, Final

from aggregator.comparison import ADDABLE, Aspect, Comparison, Pair, Row, paired
from aggregator.store.connection import Connection
from aggregator.store.statements import STATEMENTS

_ROWS_AT_ONCE: Final = 5_000

_WINDOW: Final = ("meter", "subject", "groups", "window_start", "shard")
PARTITIONS: Final = Aspect(
    "partition",
    ("partition",),
    (
        *("first_offset", "next_offset", "frontier", "accepted", "duplicate", "conflict", "quarantined"),
        *("tick", "gap", "lost", "unmetered", "late_by_pipeline"),
    ),
)
METERS: Final = Aspect(
    "meter",
    ("partition", "meter"),
    (
        *("matched", "increments", "adjustments", "voids", "errors"),
        *("increment_sum", "adjustment_sum", "void_sum"),
    ),
)
WINDOWS: Final = Aspect(
    "window",
    _WINDOW,
    ("aggregation", "events", "value", "value_time", "value_offset", "first_offset", "last_offset"),
)
MEMBERS: Final = Aspect("member", (*_WINDOW, "member"), ())
POINTS: Final = Aspect("point", (*_WINDOW, "point_time", "point_offset"), ("value",))
ADJUSTMENTS: Final = Aspect(
    "adjustment",
    ("partition", "record_offset", "meter"),
    (
        *("kind", "subject", "groups", "window_start", "aggregation", "events", "value", "member"),
        *("event_time", "log_time"),
    ),
)
QUARANTINE: Final = Aspect(
    "quarantine",
    ("partition", "record_offset", "meter"),
    ("code", "source", "id", "type", "subject", "event_time", "origin"),
)

_STATEMENTS: Final = {
    PARTITIONS: "compare_partitions",
    METERS: "compare_meters",
    WINDOWS: "compare_windows",
    MEMBERS: "compare_members",
    POINTS: "compare_points",
    ADJUSTMENTS: "compare_adjustments",
    QUARANTINE: "compare_quarantine",
}


async def compare(counted: Connection, replayed: Connection, ends: Mapping[int, int]) -> Comparison:
    """Compare everything that the log's offsets before `ends` came to.

    A window that the counted schema has added to since is left out, and counted as such.

    Args:
        counted: to the schema that counts the topic, or another replay of it.
        replayed: to a shadow schema.
        ends: where the replay ended, by partition.
    """
    found = Comparison()
    async with (
        counted.transaction(isolation="repeatable_read", readonly=True),
        replayed.transaction(isolation="repeatable_read", readonly=True),
    ):
        sides = _Sides(counted, replayed, ends)
        for aspect in (PARTITIONS, METERS):
            async for pair in sides.pairs(aspect):
                found.take(aspect, pair)
        grown = await _compare_windows(sides, found, ends)
        async for pair in sides.pairs(MEMBERS):
            if pair.key[: len(_WINDOW)] not in grown:
                found.take(MEMBERS, pair)
        async for pair in sides.pairs(POINTS):
            found.take(POINTS, pair)
        async for pair in sides.pairs(ADJUSTMENTS):
            found.take(ADJUSTMENTS, pair)
            _add_units(found, pair, pair.key[-1], ADJUSTMENTS)
        async for pair in sides.pairs(QUARANTINE):
            found.take(QUARANTINE, pair)
    return found


class _Sides:
    """Both schemas, one row after the other."""

    def __init__(self, counted: Connection, replayed: Connection, ends: Mapping[int, int]) -> None:
        self._counted = counted
        self._replayed = replayed
        self._ends = [list(ends), list(ends.values())]

    def pairs(self, aspect: Aspect) -> AsyncIterator[Pair]:
        """The rows of both, by key."""
        return paired(self._rows(self._counted, aspect), self._rows(self._replayed, aspect))

    async def _rows(self, connection: Connection, aspect: Aspect) -> AsyncIterator[Row]:
        statement = STATEMENTS[_STATEMENTS[aspect]]
        split = len(aspect.key)
        async for row in connection.cursor(statement, *self._ends, prefetch=_ROWS_AT_ONCE):
            columns = tuple(row)
            yield Row(columns[:split], columns[split:])


async def _compare_windows(sides: _Sides, found: Comparison, ends: Mapping[int, int]) -> set[tuple[Any, ...]]:
    """Compare windows; the keys of those that have grown since."""
    grown = set()
    last_offset, shard = WINDOWS.values.index("last_offset"), WINDOWS.key.index("shard")
    async for pair in sides.pairs(WINDOWS):
        if pair.counted is not None and pair.counted.values[last_offset] >= ends[pair.key[shard]]:
            grown.add(pair.key)
            continue
        found.take(WINDOWS, pair)
        _add_units(found, pair, pair.key[0], WINDOWS)
    found.grown_windows = len(grown)
    return grown


def _add_units(found: Comparison, pair: Pair, meter: str, aspect: Aspect) -> None:
    found.add_units(meter, _units(pair.counted, aspect), _units(pair.replayed, aspect))


def _units(row: Row | None, aspect: Aspect) -> Decimal:
    """What a row adds to its meter's total; nothing for meters whose values do not add up."""
    if row is None:
        return Decimal(0)
    columns = dict(zip(aspect.values, row.values, strict=True))
    if columns["aggregation"] not in ADDABLE:
        return Decimal(0)
    if columns["aggregation"] == "sum":
        return Decimal(columns["value"])
    return Decimal(columns["events"])
