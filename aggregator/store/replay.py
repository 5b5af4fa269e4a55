"""What a replay takes over from the schema that was counted, and how a shadow schema begins with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from aggregator.batch import LastRecord
from aggregator.catalog import StoredVersion
from aggregator.state import Claimed, TopicRules
from aggregator.store import load
from aggregator.store.connection import Connection, instant_us, json_text, stored_us
from aggregator.store.errors import NotAReplay
from aggregator.store.load import StoredCatalog
from aggregator.store.statements import STATEMENTS


class CountedPartition(NamedTuple):
    """How far a partition was counted, and from where."""

    first_offset: int
    claimed: Claimed


class Cap(NamedTuple):
    """An operator's word on a record whose broker's clock had jumped."""

    partition: int
    offset: int
    cap_us: int
    reason: str
    who: str


class Skip(NamedTuple):
    """Offsets that an operator gave up as lost."""

    partition: int
    first_offset: int
    next_offset: int
    reason: str
    who: str


@dataclass(frozen=True, slots=True)
class Source:
    """All that decides what a log comes to, besides the log: one state of the schema that counted it."""

    rules: TopicRules
    partitions: Sequence[CountedPartition]
    catalog: StoredCatalog
    caps: Sequence[Cap]
    skips: Sequence[Skip]


class Shadow(NamedTuple):
    """What a shadow schema says of itself."""

    counted_schema: str
    has_other_catalog: bool
    ends: Mapping[int, int]  # by partition: the offset that the replay went up to


async def source(connection: Connection) -> Source:
    """Read it; workers may go on meanwhile.

    Raises:
        NotApplied: the schema counts no topic.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        partitions = [
            CountedPartition(
                row["first_offset"],
                Claimed(
                    row["partition"],
                    row["next_offset"],
                    instant_us(row["frontier"]),
                    row["newest_time"],
                    None
                    if row["last_offset"] is None
                    else LastRecord(row["last_offset"], row["last_timestamp"], row["last_hash"]),
                ),
            )
            for row in await connection.fetch(STATEMENTS["partition_claims"])
        ]
        return Source(
            rules=await load.topic_rules(connection),
            partitions=partitions,
            catalog=await load.catalog_within(connection),
            caps=[Cap(*row) for row in await connection.fetch(STATEMENTS["all_clock_caps"])],
            skips=[Skip(*row) for row in await connection.fetch(STATEMENTS["all_skipped"])],
        )


async def relations(connection: Connection, schema: str) -> list[str]:
    """What lies in a schema already; nothing if there is no such schema, or if it was emptied."""
    return [row["name"] for row in await connection.fetch(STATEMENTS["schema_relations"], schema)]


async def begin(
    connection: Connection,
    counted_schema: str,
    taken: Source,
    versions: Sequence[StoredVersion],
    who: str,
) -> None:
    """Give a schema just migrated the rules, partitions, catalog and decisions of another one.

    Args:
        connection: to the new schema, with the owner's rights.
        counted_schema: the other one's name.
        taken: from it.
        versions: of meters, which need not be those that it counted by.
        who: replays.
    """
    rules = taken.rules
    async with connection.transaction():
        await connection.fetchval(
            STATEMENTS["insert_topic"],
            rules.name,
            rules.partitions,
            rules.clock,
            rules.partitioner,
            rules.acceptance_window_us,
            rules.skew_us,
            rules.repair_horizon_us,
            rules.identity_key,
        )
        await connection.execute(
            STATEMENTS["insert_partitions"],
            [one.claimed.partition for one in taken.partitions],
            [one.first_offset for one in taken.partitions],
        )
        if taken.caps:
            await connection.execute(STATEMENTS["insert_clock_caps"], *zip(*taken.caps, strict=True))
        if versions:
            await _insert_versions(connection, versions, who)
        has_other_catalog = list(versions) != list(taken.catalog.versions)
        await connection.execute(STATEMENTS["insert_replay"], counted_schema, has_other_catalog, who)
        await connection.execute(
            STATEMENTS["insert_replay_ends"],
            [one.claimed.partition for one in taken.partitions],
            [one.claimed.next_offset for one in taken.partitions],
        )


async def end(counted: Connection, shadow: Connection) -> None:
    """The log is counted once more: mark it so.

    Misplaced records that were republished are marked so in the shadow too: it must never publish anything.
    """
    async with shadow.transaction():
        published = await counted.fetch(STATEMENTS["published_repairs"])
        if published:
            await shadow.execute(STATEMENTS["mark_published"], *zip(*published, strict=True))
        await shadow.execute(STATEMENTS["end_replay"])


async def shadow(connection: Connection) -> Shadow:
    """What this shadow schema is a replay of.

    Raises:
        NotAReplay: it is none, or the replay has not ended.
    """
    row = await connection.fetchrow(STATEMENTS["replay"])
    if row is None or not row["has_ended"]:
        reason = "is no replay" if row is None else "is a replay that has not ended"
        raise NotAReplay(f"the schema {reason}: make one with `metering replay --into`")
    ends = {one["partition"]: one["next_offset"] for one in await connection.fetch(STATEMENTS["replay_ends"])}
    return Shadow(row["counted_schema"], row["has_other_catalog"], ends)


async def _insert_versions(
    connection: Connection, versions: Sequence[StoredVersion], applied_by: str
) -> None:
    rows = [
        (
            one.meter_version_id,
            one.meter,
            one.version,
            json_text(one.definition),
            stored_us(one.effective_from_us),
            one.retired,
        )
        for one in versions
    ]
    digest = sha256(json_text(rows).encode()).digest()
    head = await connection.fetchval(STATEMENTS["insert_apply"], applied_by, digest)
    await connection.execute(STATEMENTS["insert_replayed_versions"], *zip(*rows, strict=True), head)
    await connection.fetchval(STATEMENTS["continue_version_ids"])
