"""What a replay takes over from the schema that was counted, and how a shadow schema begins with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from aggregator.catalog import StoredVersion
from aggregator.groups import GroupValues
from aggregator.state import Claimed, LastRecord, TopicRules
from aggregator.store import finality, load
from aggregator.store.cache import StoreCache
from aggregator.store.connection import Connection, instant_us, json_text, stored_us
from aggregator.store.errors import NotAReplay
from aggregator.store.load import StoredCatalog
from aggregator.store.sent import Sent
from aggregator.store.series import series_ids
from aggregator.store.statements import STATEMENTS

CORRECTIONS: Final = -1
"""The partition of corrections, which is none of the topic's."""


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


class Correction(NamedTuple):
    """A row of a promotion; `groups` None for `other`."""

    number: int
    promotion: int  # its first number
    meter_version_id: int
    subject: str
    groups: GroupValues | None
    start_us: int
    events: int
    value: Decimal | None
    member: str | None
    event_time_us: int
    value_offset: int | None  # of what the log holds there; None: of nothing alone
    replaces_before: int | None  # it takes the place of all before this offset; None: it is added
    log_time_us: int


class Promotion(NamedTuple):
    """Who promoted what a replay had found, and on what evidence."""

    first_number: int
    next_number: int
    log_time_us: int
    who: str
    reason: str
    shadow_schema: str
    evidence: bytes  # SHA-256
    catalog: str  # JSON
    promoted_us: int | None  # None: now


@dataclass(frozen=True, slots=True)
class Decisions:
    """All that decides what a log comes to, besides the log: one state of the schema that counted it."""

    rules: TopicRules
    partitions: Sequence[CountedPartition]
    catalog: StoredCatalog
    caps: Sequence[Cap]
    skips: Sequence[Skip]


@dataclass(frozen=True, slots=True)
class Source(Decisions):
    """And all that decides what that costs, or was added to it since."""

    closing_us: int | None  # log time up to which it is final
    plans: Sequence[tuple[Any, ...]]  # rows of `plan_version`,
    subscriptions: Sequence[tuple[Any, ...]]  # of `subscription_version`,
    subjects: Sequence[tuple[Any, ...]]  # and of `subscription_subject`
    corrections: Sequence[Correction]
    promotions: Sequence[Promotion]

    @property
    def next_correction(self) -> int:
        """The number that the next correction will have."""
        return max((one.next_number for one in self.promotions), default=0)


class Begins(NamedTuple):
    """What of a log a replay compares; all of it if there is no instant."""

    since_us: int | None = None  # windows that start then or later
    compared_from: Mapping[int, int] = MappingProxyType({})  # by partition: none of their usage lies before


class Shadow(NamedTuple):
    """What a shadow schema says of itself."""

    counted_schema: str
    has_other_catalog: bool
    log_time_us: int | None  # it is closed and rated up to here
    next_correction: int
    ends: Mapping[int, int]  # by partition: the offset that the replay went up to
    begins: Begins = Begins()


async def decisions(connection: Connection) -> Decisions:
    """Read what a log was counted by; workers may go on meanwhile.

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
        return Decisions(
            rules=await load.topic_rules(connection),
            partitions=partitions,
            catalog=await load.catalog_within(connection),
            caps=[Cap(*row) for row in await connection.fetch(STATEMENTS["all_clock_caps"])],
            skips=[Skip(*row) for row in await connection.fetch(STATEMENTS["all_skipped"])],
        )


async def source(connection: Connection) -> Source:
    """Read all that a replay takes over, as one state.

    Raises:
        NotApplied: the schema counts no topic.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        decided = await decisions(connection)
        return Source(
            decided.rules,
            decided.partitions,
            decided.catalog,
            decided.caps,
            decided.skips,
            closing_us=await finality.closing(connection),
            plans=[tuple(row) for row in await connection.fetch(STATEMENTS["all_plan_versions"])],
            subscriptions=[
                tuple(row) for row in await connection.fetch(STATEMENTS["all_subscription_versions"])
            ],
            subjects=[tuple(row) for row in await connection.fetch(STATEMENTS["all_subscription_subjects"])],
            corrections=await corrections(connection),
            promotions=[Promotion(*row) for row in await connection.fetch(STATEMENTS["all_promotions"])],
        )


async def corrections(connection: Connection) -> list[Correction]:
    """Every row that was promoted so far."""
    return [
        Correction(
            row["record_offset"],
            row["promotion"],
            row["meter_version_id"],
            row["subject"],
            None if row["is_other"] else tuple(row["groups"]),
            row["window_start"],
            row["events"],
            row["value"],
            row["member"],
            row["event_time"],
            row["value_offset"],
            row["replaces_before"],
            row["log_time"],
        )
        for row in await connection.fetch(STATEMENTS["all_corrections"])
    ]


async def relations(connection: Connection, schema: str) -> list[str]:
    """What lies in a schema already; nothing if there is no such schema, or if it was emptied."""
    return [row["name"] for row in await connection.fetch(STATEMENTS["schema_relations"], schema)]


async def begin(
    connection: Connection,
    counted_schema: str,
    taken: Source,
    versions: Sequence[StoredVersion] | None,
    begins: Begins,
    who: str,
) -> None:
    """Give a schema just migrated the rules, partitions, catalog and decisions of another one.

    Args:
        connection: to the new schema, with the owner's rights.
        counted_schema: the other one's name.
        taken: from it.
        versions: of meters; None for those that it counted by.
        begins: what of the log is compared.
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
        meters = taken.catalog.versions if versions is None else versions
        if meters:
            await _insert_versions(connection, meters, who)
        await insert_terms(connection, taken, who)
        await connection.execute(
            STATEMENTS["insert_replay"],
            counted_schema,
            versions is not None,
            taken.closing_us,
            taken.next_correction,
            who,
            begins.since_us,
        )
        await connection.execute(
            STATEMENTS["insert_replay_ends"],
            [one.claimed.partition for one in taken.partitions],
            [one.claimed.next_offset for one in taken.partitions],
            [begins.compared_from.get(one.claimed.partition, 0) for one in taken.partitions],
        )


async def insert_terms(connection: Connection, taken: Source, who: str) -> None:
    """Plans and subscriptions are those that were rated by, under their own ids."""
    if not taken.plans and not taken.subscriptions:
        return
    digest = sha256(json_text([taken.plans, taken.subscriptions]).encode()).digest()
    revision = await connection.fetchval(STATEMENTS["insert_billing_apply"], who, digest)
    if taken.plans:
        columns = zip(*taken.plans, strict=True)
        await connection.execute(STATEMENTS["insert_replayed_plans"], *columns, revision)
    if taken.subscriptions:
        columns = zip(*taken.subscriptions, strict=True)
        await connection.execute(STATEMENTS["insert_replayed_subscriptions"], *columns, revision)
        await connection.execute(STATEMENTS["insert_replayed_subjects"], *zip(*taken.subjects, strict=True))
    await connection.fetchval(STATEMENTS["continue_billing_ids"])


async def insert_corrections(
    connection: Connection, promotions: Sequence[Promotion], rows: Sequence[Correction]
) -> None:
    """Write promotions and their rows beside windows, within a transaction."""
    for one in promotions:
        await connection.execute(STATEMENTS["insert_promotion"], *one)
    if not rows:
        return
    sent = Sent(connection)
    names = [(row.meter_version_id, row.subject, row.groups) for row in rows]
    ids, _ = await series_ids(sent, names, StoreCache())
    await sent.insert(
        "insert_corrections",
        [
            (
                row.number,
                row.promotion,
                row.meter_version_id,
                series_id,
                row.start_us,
                row.events,
                None if row.value is None else str(row.value),
                row.member,
                row.event_time_us,
                row.value_offset,
                row.replaces_before,
                row.log_time_us,
            )
            for series_id, row in zip(ids, rows, strict=True)
        ],
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
    partitions = await connection.fetch(STATEMENTS["replay_ends"])
    return Shadow(
        row["counted_schema"],
        row["has_other_catalog"],
        row["log_time"],
        row["next_correction"],
        {one["partition"]: one["next_offset"] for one in partitions},
        Begins(row["since"], {one["partition"]: one["compared_from"] for one in partitions}),
    )


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
