"""Writes and reads what is final: a watermark per meter version, and the closing that they rest on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aggregator.finality import Frontier, Rule, Watermark, log_time_us, watermarks
from aggregator.store.connection import Connection, instant_us
from aggregator.store.load import StoredMeterVersion, catalog_within
from aggregator.store.statements import STATEMENTS
from schemas.catalog import Meter


@dataclass(frozen=True, slots=True)
class Finality:
    """What is final, and what that rests on, read as one state."""

    partitions: int  # of the topic; 0: there is no topic yet
    frontiers: Sequence[Frontier]
    rules: Sequence[Rule]  # of every meter version there ever was
    closing_us: int | None  # log time; None: nothing was closed yet
    final_before_us: Mapping[int, int]  # by meter version

    @property
    def reached_us(self) -> int | None:
        """The log time that a close would write now; None: some partition has no record yet."""
        return log_time_us((one.frontier_us for one in self.frontiers), self.partitions)

    @property
    def meters(self) -> dict[str, list[Rule]]:
        """The versions of each meter in order, by the meter's name."""
        by_name: dict[str, list[Rule]] = {}
        for rule in sorted(self.rules, key=lambda rule: (rule.meter, rule.version)):
            by_name.setdefault(rule.meter, []).append(rule)
        return by_name


@dataclass(frozen=True, slots=True)
class Closed:
    """What one close has found and done."""

    state: Finality  # as it is after the close
    advanced: Sequence[Watermark]  # those that moved


async def closing(connection: Connection) -> int | None:
    """The log time that everything final rests on; None: nothing was closed yet."""
    found: int | None = await connection.fetchval(STATEMENTS["closing"])
    return found


async def final_before(connection: Connection) -> dict[int, int]:
    """The instant before which every window is final, by meter version; none for versions not closed yet."""
    rows = await connection.fetch(STATEMENTS["watermarks"])
    return {row["meter_version_id"]: row["final_before"] for row in rows}


async def finality(connection: Connection) -> Finality:
    """What is final and what it rests on, in one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await _state(connection)


async def close(connection: Connection, until_us: int | None = None) -> Closed:
    """Make final what every frontier has passed by the grace: closing and watermarks, in one transaction.

    Locks no row of the hot path. Safe to repeat and safe beside another closer: both only ever grow.

    Args:
        connection: in no transaction.
        until_us: log time to close at most, though frontiers may be beyond it; a replay ends where it began.
    """
    async with connection.transaction():
        before = await _state(connection)
        reached_us = before.reached_us
        if reached_us is None:
            return Closed(before, [])
        if until_us is not None:
            reached_us = min(reached_us, until_us)
        # Another closer may have been further: then a new meter version goes by that too.
        closing_us = max(reached_us, before.closing_us or reached_us)
        wanted = [
            mark
            for mark in watermarks(before.rules, closing_us)
            if mark.final_before_us
            > before.final_before_us.get(mark.meter_version_id, mark.final_before_us - 1)
        ]
        if closing_us != before.closing_us:
            await connection.execute(STATEMENTS["advance_closing"], closing_us)
        moved = await _advance(connection, wanted)
    after = {**before.final_before_us, **{mark.meter_version_id: mark.final_before_us for mark in moved}}
    state = Finality(before.partitions, before.frontiers, before.rules, closing_us, after)
    return Closed(state, moved)


async def _advance(connection: Connection, wanted: Sequence[Watermark]) -> list[Watermark]:
    if not wanted:
        return []
    rows = await connection.fetch(STATEMENTS["advance_watermarks"], *zip(*wanted, strict=True))
    moved = {row["meter_version_id"] for row in rows}
    return [mark for mark in wanted if mark.meter_version_id in moved]


async def _state(connection: Connection) -> Finality:
    """Frontiers first: what is read of them is a lower bound of what they are when the rest is read."""
    frontiers = await connection.fetch(STATEMENTS["topic_frontiers"])
    return Finality(
        partitions=frontiers[0]["partitions"] if frontiers else 0,
        frontiers=[Frontier(row["partition"], instant_us(row["frontier"])) for row in frontiers],
        rules=rules((await catalog_within(connection)).versions),
        closing_us=await closing(connection),
        final_before_us=await final_before(connection),
    )


def rules(versions: Iterable[StoredMeterVersion]) -> list[Rule]:
    """What finality needs to know of meter versions."""
    found = []
    for one in versions:
        meter = Meter.from_definition(one.definition)
        found.append(
            Rule(
                one.meter_version_id,
                one.meter,
                one.version,
                meter.window_us,
                meter.grace_us,
                one.effective_from_us,
                one.retired,
            )
        )
    return found
