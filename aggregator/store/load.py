"""What a claim and a fold read. Nothing here writes."""

from collections.abc import Collection
from typing import Final, NamedTuple

from aggregator.groups import GroupKey, GroupValues
from aggregator.remedy import LandingRules
from aggregator.state import TopicRules
from aggregator.store.connection import Connection, instant_us
from aggregator.store.errors import NotApplied
from aggregator.store.statements import STATEMENTS
from schemas.instant import HOUR_US

_CHUNKS_AT_ONCE: Final = 16
_NO_TOPIC: Final = "the schema counts no topic yet: run `metering topics apply`"


class StoredMeterVersion(NamedTuple):
    """One immutable version of a meter, as it was applied."""

    meter_version_id: int
    meter: str
    version: int
    definition: dict[str, object]
    effective_from_us: int | None  # None: from the beginning
    retired: bool


class StoredCatalog(NamedTuple):
    """Every meter version there is, and the head that names this state."""

    head: int
    versions: list[StoredMeterVersion]


async def topic_rules(connection: Connection) -> TopicRules:
    """The rules of the topic that this schema counts; needs the worker's or the owner's rights.

    Raises:
        NotApplied: no topic yet.
    """
    row = await connection.fetchrow(STATEMENTS["topic_rules"])
    if row is None:
        raise NotApplied(_NO_TOPIC)
    return TopicRules(
        name=row["name"],
        partitions=row["partitions"],
        clock=row["clock"],
        partitioner=row["partitioner"],
        acceptance_window_us=row["acceptance_window"],
        skew_us=row["skew"],
        repair_horizon_us=row["repair_horizon"],
        identity_key=row["identity_key"],
    )


async def landing_rules(connection: Connection) -> LandingRules:
    """What of those rules is not secret; any role may ask.

    Raises:
        NotApplied: no topic yet.
    """
    row = await connection.fetchrow(STATEMENTS["landing_rules"])
    if row is None:
        raise NotApplied(_NO_TOPIC)
    return LandingRules(*row)


async def memory_entries(connection: Connection, partition: int, since_hour: int) -> bytearray:
    """The packed ids of a partition, of event hours (since the epoch) from `since_hour` on.

    Chunks are streamed, so that there is never much more in memory than the result.
    """
    entries = bytearray()
    async with connection.transaction(readonly=True):
        cursor = connection.cursor(
            STATEMENTS["memory_entries"], partition, since_hour * HOUR_US, prefetch=_CHUNKS_AT_ONCE
        )
        async for (chunk,) in cursor:
            entries += chunk
    return entries


async def archive(connection: Connection, partition: int, hours: Collection[int]) -> dict[int, bytes]:
    """The packed ids of single event hours, empty where there are none."""
    chunks: dict[int, list[bytes]] = {hour: [] for hour in hours}
    starts_us = [hour * HOUR_US for hour in hours]
    for hour_us, entries in await connection.fetch(STATEMENTS["archived_entries"], partition, starts_us):
        chunks[hour_us // HOUR_US].append(entries)
    return {hour: b"".join(parts) for hour, parts in chunks.items()}


async def groups(
    connection: Connection, partition: int, keys: Collection[GroupKey]
) -> dict[GroupKey, frozenset[GroupValues]]:
    """The group values already counted under each key, in windows or adjustments; `other` is none of them."""
    ordered = list(keys)
    found: list[set[GroupValues]] = [set() for _ in ordered]
    rows = await connection.fetch(
        STATEMENTS["group_values"],
        partition,
        list(range(len(ordered))),
        [key.meter_version_id for key in ordered],
        [key.subject for key in ordered],
        [key.window_start_us for key in ordered],
    )
    for place, values in rows:
        found[place].add(tuple(values))
    return {key: frozenset(values) for key, values in zip(ordered, found, strict=True)}


async def caps(connection: Connection, partition: int) -> dict[int, int]:
    """Operators' caps of record timestamps: offset to microseconds."""
    return {
        row["record_offset"]: row["cap"]
        for row in await connection.fetch(STATEMENTS["clock_caps"], partition)
    }


async def catalog_head(connection: Connection) -> int:
    """The catalog's newest head; 0 before the first apply."""
    head: int = await connection.fetchval(STATEMENTS["catalog_head"])
    return head


async def catalog(connection: Connection) -> StoredCatalog:
    """Every meter version, and the head they belong to, read as one state."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await catalog_within(connection)


async def catalog_within(connection: Connection) -> StoredCatalog:
    """As `catalog`, within a transaction that already sees one state of the catalog."""
    head = await catalog_head(connection)
    return StoredCatalog(head, await meter_versions(connection))


async def meter_versions(connection: Connection) -> list[StoredMeterVersion]:
    """Every meter version there is."""
    return [
        StoredMeterVersion(
            row["meter_version_id"],
            row["meter"],
            row["version"],
            row["definition"],
            instant_us(row["effective_from"]),
            row["retired"],
        )
        for row in await connection.fetch(STATEMENTS["meter_versions"])
    ]
