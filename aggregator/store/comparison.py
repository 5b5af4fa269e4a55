"""Reads two schemas that counted the same log, side by side, each in one snapshot."""

from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from aggregator.comparison import ADDABLE, Aspect, Comparison, Pair, Row, paired
from aggregator.store import finality, rating, terms
from aggregator.store.connection import Connection, stored_us
from aggregator.store.replay import CORRECTIONS, Shadow
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
FRONTIERS: Final = Aspect("partition", ("partition",), ("next_offset", "frontier"))
"""Of a range, which has its own beginning."""

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
        *("event_time", "log_time", "value_offset", "replaces_before", "promotion"),
    ),
)
QUARANTINE: Final = Aspect(
    "quarantine",
    ("partition", "record_offset", "meter"),
    ("code", "source", "id", "type", "subject", "event_time", "origin"),
)

REPAIRS: Final = Aspect(
    "repair", ("partition", "record_offset"), ("meter", "origin_partition", "origin_offset", "origin_code")
)
WATERMARKS: Final = Aspect("watermark", ("meter", "version"), ("final_before",))
TERMS: Final = Aspect(
    "terms", ("kind", "name", "version"), ("effective_from", "retired", "known_from", "definition")
)
RATED_TOTALS: Final = Aspect(
    "rated_total",
    ("subscription", "period_start", "version"),
    (
        *("customer", "period_end", "cut", "currency", "amount", "unrounded_amount", "difference"),
        *("digest", "is_newest"),
    ),
)

_STATEMENTS: Final = {
    PARTITIONS: "compare_partitions",
    FRONTIERS: "compare_frontiers",
    METERS: "compare_meters",
    WINDOWS: "compare_windows",
    MEMBERS: "compare_members",
    POINTS: "compare_points",
    ADJUSTMENTS: "compare_adjustments",
    QUARANTINE: "compare_quarantine",
    REPAIRS: "compare_repairs",
    WATERMARKS: "compare_watermarks",
    TERMS: "compare_terms",
    RATED_TOTALS: "compare_rated_totals",
}


async def compare(counted: Connection, replayed: Connection, shadow: Shadow) -> Comparison:
    """Compare everything that the log came to up to where a replay of it ended.

    What the counted schema has added since is left out, and counted as such. A replay of a range is compared
    from its start on; what the ledgers say of batches and of repairs has no time, and is left out then.

    Args:
        counted: to the schema that counts the topic, or another replay of it.
        replayed: to the shadow schema.
        shadow: what that says of itself.
    """
    since_us = shadow.begins.since_us
    found = Comparison(since_us=since_us)
    async with (
        counted.transaction(isolation="repeatable_read", readonly=True),
        replayed.transaction(isolation="repeatable_read", readonly=True),
    ):
        sides = Sides(counted, replayed)
        ends = {**shadow.ends, CORRECTIONS: shadow.next_correction}
        limits = list(ends), list(ends.values())
        for aspect in (PARTITIONS, METERS, REPAIRS) if since_us is None else (FRONTIERS,):
            async for pair in sides.pairs(aspect, *limits):
                found.take(aspect, pair)
        windows = *limits, stored_us(since_us)
        grown = await _compare_windows(sides, found, ends, windows)
        async for pair in sides.pairs(MEMBERS, *windows):
            if pair.key[: len(_WINDOW)] not in grown:
                found.take(MEMBERS, pair)
        async for pair in sides.pairs(POINTS, *windows):
            found.take(POINTS, pair)
        async for pair in sides.pairs(ADJUSTMENTS, *windows):
            found.take(ADJUSTMENTS, pair)
            _add_up(found, pair, pair.key[-1], ADJUSTMENTS)
        compared_from = [shadow.begins.compared_from.get(partition, 0) for partition in ends]
        async for pair in sides.pairs(QUARANTINE, *windows, compared_from):
            found.take(QUARANTINE, pair)
        await _compare_terms(sides, found)
        if shadow.log_time_us is not None:
            await _compare_what_is_final(sides, found, shadow.log_time_us)
    return found


class Sides:
    """Both schemas, one row after the other."""

    def __init__(self, counted: Connection, replayed: Connection) -> None:
        self.counted = counted
        self.replayed = replayed

    def pairs(self, aspect: Aspect, *arguments: object) -> AsyncIterator[Pair]:
        """The rows of both, by key."""
        return paired(self.rows(self.counted, aspect, arguments), self.rows(self.replayed, aspect, arguments))

    async def rows(
        self, connection: Connection, aspect: Aspect, arguments: Sequence[object]
    ) -> AsyncIterator[Row]:
        """The rows of one of them, in the order of their keys."""
        statement = STATEMENTS[_STATEMENTS[aspect]]
        split = len(aspect.key)
        async for row in connection.cursor(statement, *arguments, prefetch=_ROWS_AT_ONCE):
            columns = tuple(row)
            yield Row(columns[:split], columns[split:])


async def _compare_windows(
    sides: Sides, found: Comparison, ends: Mapping[int, int], arguments: Sequence[object]
) -> set[tuple[Any, ...]]:
    """Compare windows; the keys of those that have grown since."""
    grown = set()
    last_offset, shard = WINDOWS.values.index("last_offset"), WINDOWS.key.index("shard")
    async for pair in sides.pairs(WINDOWS, *arguments):
        if pair.counted is not None and pair.counted.values[last_offset] >= ends[pair.key[shard]]:
            grown.add(pair.key)
            continue
        found.take(WINDOWS, pair)
        _add_up(found, pair, pair.key[0], WINDOWS)
    found.grown_windows = len(grown)
    return grown


async def _compare_terms(sides: Sides, found: Comparison) -> None:
    """Plans and subscriptions, but for what was applied or promoted since."""
    async for pair in sides.pairs(TERMS):
        if pair.replayed is not None:
            found.take(TERMS, pair)


async def _compare_what_is_final(sides: Sides, found: Comparison, log_time_us: int) -> None:
    """Watermarks, and what was rated by them; the counted schema may be further, or not yet there."""
    if await finality.closing(sides.counted) == log_time_us:
        async for pair in sides.pairs(WATERMARKS):
            found.take(WATERMARKS, pair)
    has_rated = await rating.is_rated(sides.counted, log_time_us, await terms.known(sides.counted))
    arguments = log_time_us, stored_us(found.since_us)
    found.cut_periods = await sides.counted.fetchval(STATEMENTS["cut_periods"], *arguments)
    async for pair in sides.pairs(RATED_TOTALS, *arguments):
        if pair.counted is None and not has_rated:
            found.unrated_totals += 1
            continue
        found.take(RATED_TOTALS, pair)
        for row, is_replayed in ((pair.counted, False), (pair.replayed, True)):
            columns = {} if row is None else dict(zip(RATED_TOTALS.values, row.values, strict=True))
            if columns.get("is_newest"):
                found.add_money(columns["currency"], columns["amount"], is_replayed=is_replayed)


def _add_up(found: Comparison, pair: Pair, meter: str, aspect: Aspect) -> None:
    """Add both sides to the meter's units, where they add up."""
    place = aspect.values.index("aggregation")
    if {row.values[place] for row in pair if row is not None} <= ADDABLE:
        found.add_units(meter, _units(pair.counted, aspect), _units(pair.replayed, aspect))


def _units(row: Row | None, aspect: Aspect) -> Decimal:
    """What a row adds to its meter's total."""
    if row is None:
        return Decimal(0)
    columns = dict(zip(aspect.values, row.values, strict=True))
    return Decimal(columns["value"] if columns["aggregation"] == "sum" else columns["events"])
