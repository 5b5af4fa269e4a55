"""Where a replay of a range begins, and what it takes from the schema that counted: no record tells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import asyncpg

from aggregator.log_range import (
    Boundary,
    earliest_since_us,
    knows_from_us,
    memory_from_us,
    usage_from_us,
)
from aggregator.rating.schedule import next_due, whole_period_from_us
from aggregator.state import TopicRules
from aggregator.store import explanation, terms
from aggregator.store.cache import SeriesName, StoreCache
from aggregator.store.connection import END_US, Connection, instant_us, stored_us
from aggregator.store.replay import CountedPartition, Source
from aggregator.store.sent import Sent
from aggregator.store.series import series_ids
from aggregator.store.statements import STATEMENTS
from schemas.codes import Code


class Carried(NamedTuple):
    """What gauges carry into a range: rows of `window_point` and `adjustment`, each with its series."""

    points: Sequence[tuple[SeriesName, tuple[Any, ...]]]
    adjustments: Sequence[tuple[SeriesName, tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Range:
    """A part of a log: the windows that start at `since_us` or later."""

    since_us: int
    frontiers_us: Mapping[int, int | None]  # by partition, where reading begins
    compared_from: Mapping[int, int]  # by partition: no usage of the range lies before this offset
    foretold: Mapping[int, Mapping[int, Code]]  # by partition: refusals that rest on what is not read
    carried: Carried


async def narrowed(connection: Connection, source: Source, since_us: int) -> tuple[Source, Range]:
    """The part of what was counted that a range needs to be read, and what it begins with.

    Args:
        connection: to the schema that counted, whose ledger only grows.
        source: taken from it.
        since_us: on the boundaries of the windows of then.
    """
    partitions, frontiers_us, compared_from, foretold = [], {}, {}, {}
    for one in source.partitions:
        partition = one.claimed.partition
        start, usage = await _starts(connection, source.rules, one, since_us)
        partitions.append(one._replace(first_offset=start.offset))
        frontiers_us[partition] = start.frontier_us
        compared_from[partition] = usage.offset
        rows = await connection.fetch(
            STATEMENTS["foretold_refusals"], partition, start.offset, usage.offset, since_us
        )
        foretold[partition] = {row["record_offset"]: Code(row["code"]) for row in rows}
    begins = {one.claimed.partition: one.first_offset for one in partitions}
    skips = [skip for skip in source.skips if skip.first_offset >= begins[skip.partition]]
    ends = {one.claimed.partition: one.claimed.next_offset for one in partitions}
    carried = await _carried(connection, since_us, ends)
    return (
        replace(source, partitions=partitions, skips=skips),
        Range(since_us, frontiers_us, compared_from, foretold, carried),
    )


async def earliest(connection: Connection, source: Source, beginnings: Mapping[int, int]) -> int | None:
    """The first instant that a range can begin at, as far as the log is kept.

    Args:
        connection: to the schema that counted.
        source: taken from it, whole.
        beginnings: the first offset that each partition's log still has.

    Returns:
        None if nothing counted so far is far enough from where the log begins.
    """
    rules, latest_us = source.rules, 0
    for one in source.partitions:
        partition = one.claimed.partition
        if beginnings[partition] <= one.first_offset:
            continue
        row = await connection.fetchrow(STATEMENTS["boundary_at"], partition, beginnings[partition])
        if row is None or row["next_offset"] < beginnings[partition]:
            return None
        lost_before_us = instant_us(row["log_time"])
        if lost_before_us is None:
            continue
        known_us = await connection.fetchval(
            STATEMENTS["boundary_reaching"], partition, knows_from_us(rules, lost_before_us)
        )
        if known_us is None:
            return None
        latest_us = max(latest_us, earliest_since_us(rules, known_us, source.catalog.versions))
    return latest_us


async def begin(connection: Connection, begun: Range) -> None:
    """Give a schema that begins to count its partitions' frontiers, and what gauges carry in."""
    points, adjustments = begun.carried
    async with connection.transaction():
        await connection.execute(
            STATEMENTS["begin_partitions_at"],
            list(begun.frontiers_us),
            [stored_us(frontier) for frontier in begun.frontiers_us.values()],
        )
        starts = sorted({row[0] for _, row in points})
        await connection.fetchval(STATEMENTS["ensure_partitions"], "window_point", starts)
        sent = Sent(connection)
        ids, _ = await series_ids(sent, [name for name, _ in (*points, *adjustments)], StoreCache())
        await sent.insert(
            "insert_points", [(series_id, *row) for series_id, (_, row) in zip(ids, points, strict=False)]
        )
        await sent.insert(
            "insert_adjustments",
            [
                (*row[:2], name[0], series_id, *row[2:])
                for series_id, (name, row) in zip(ids[len(points) :], adjustments, strict=True)
            ],
        )


async def schedule(connection: Connection, since_us: int) -> None:
    """Let the first period of each subscription that is rated begin at `since_us` or later."""
    catalog = await terms.rating_catalog(connection, None)
    names = [row["subscription"] for row in await connection.fetch(STATEMENTS["all_subscriptions"])]
    rows = []
    for name, one in (await terms.terms(connection, catalog, names)).items():
        through_us = max(one.start_us, whole_period_from_us(one, catalog.meters, since_us))
        due = next_due(one, catalog.meters, through_us)
        rows.append((name, through_us, END_US if due is None else due.first_cut_us))
    if rows:
        await connection.execute(STATEMENTS["schedule_subscriptions"], *zip(*rows, strict=True))


async def _starts(
    connection: Connection, rules: TopicRules, one: CountedPartition, since_us: int
) -> tuple[Boundary, Boundary]:
    """Where to begin to read, and where usage of the range begins at the earliest."""

    async def before(log_time_us: int) -> Boundary:
        return Boundary(
            *await explanation.start(connection, one.claimed.partition, one.first_offset, log_time_us)
        )

    usage = await before(usage_from_us(rules, since_us))
    if usage.frontier_us is None:
        return usage, usage
    return await before(memory_from_us(rules, usage.frontier_us)), usage


async def _carried(connection: Connection, since_us: int, ends: Mapping[int, int]) -> Carried:
    arguments = since_us, list(ends), list(ends.values())
    points = [
        (
            _name(row),
            (row["window_start"], row["shard"], row["point_time"], row["point_offset"], str(row["value"])),
        )
        for row in await connection.fetch(STATEMENTS["carried_points"], *arguments)
    ]
    adjustments = [
        (
            _name(row),
            (
                row["partition"],
                row["record_offset"],
                row["window_start"],
                row["kind"],
                row["events"],
                None if row["value"] is None else str(row["value"]),
                row["member"],
                row["event_time"],
                row["batch_first_offset"],
                row["log_time"],
            ),
        )
        for row in await connection.fetch(STATEMENTS["carried_adjustments"], *arguments)
    ]
    return Carried(points, adjustments)


def _name(row: asyncpg.Record) -> SeriesName:
    groups = None if row["is_other"] else tuple(row["groups"])
    return row["meter_version_id"], row["subject"], groups
