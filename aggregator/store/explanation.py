"""What lies behind windows: their rows, what stands beside them, and the ledger of the offsets they name."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from aggregator.groups import GroupValues
from aggregator.store.connection import BEGINNING_US, END_US, Connection, instant_us
from aggregator.store.statements import STATEMENTS


class Scope(NamedTuple):
    """Which windows: of these meter versions and subjects, starting in `[from_us, to_us)`."""

    meter_version_ids: Sequence[int]
    subjects: Sequence[str]
    from_us: int | None
    to_us: int | None


class StoredWindow(NamedTuple):
    """A row of windows, with its members."""

    meter_version_id: int
    subject: str
    groups: GroupValues | None  # None: `other`
    start_us: int
    shard: int
    first_offset: int
    last_offset: int
    events: int
    value: Decimal | None
    value_time_us: int | None
    value_offset: int | None
    members: Sequence[str]
    points: Sequence[Sequence[int | Decimal]]  # offset and value, of gauges


class StoredAdjustment(NamedTuple):
    """A row beside a window."""

    meter_version_id: int
    subject: str
    groups: GroupValues | None
    start_us: int
    partition: int
    offset: int
    kind: str
    events: int
    value: Decimal | None
    member: str | None
    event_time_us: int
    log_time_us: int
    batch_first_offset: int  # of a correction: the first number of its promotion
    value_offset: int | None  # of a correction: where the log has what it says
    replaces_before: int | None  # of a correction: up to which offset it takes the place of what is known


class LedgerRange(NamedTuple):
    """A batch that holds some of the offsets asked for."""

    first_offset: int
    next_offset: int
    log_time_us: int | None
    epoch: int
    worker: str
    trace_id: str | None
    committed_us: int
    catalog_head: int


class Start(NamedTuple):
    """Where to begin reading a log, and its frontier there; None: nothing comes before."""

    offset: int
    frontier_us: int | None


async def windows(connection: Connection, scope: Scope) -> list[StoredWindow]:
    """The windows of a scope, in order of time."""
    return [
        StoredWindow(
            row["meter_version_id"],
            row["subject"],
            None if row["is_other"] else tuple(row["groups"]),
            row["window_start"],
            row["shard"],
            row["first_offset"],
            row["last_offset"],
            row["events"],
            row["value"],
            row["value_time"],
            row["value_offset"],
            row["members"],
            row["points"],
        )
        for row in await connection.fetch(STATEMENTS["explained_windows"], *_arguments(scope))
    ]


async def adjustments(connection: Connection, scope: Scope) -> list[StoredAdjustment]:
    """What stands beside the windows of a scope."""
    return [
        StoredAdjustment(
            row["meter_version_id"],
            row["subject"],
            None if row["is_other"] else tuple(row["groups"]),
            row["window_start"],
            row["partition"],
            row["record_offset"],
            row["kind"],
            row["events"],
            row["value"],
            row["member"],
            row["event_time"],
            row["log_time"],
            row["batch_first_offset"],
            row["value_offset"],
            row["replaces_before"],
        )
        for row in await connection.fetch(STATEMENTS["explained_adjustments"], *_arguments(scope))
    ]


async def batches(
    connection: Connection, partition: int, first_offset: int, next_offset: int
) -> list[LedgerRange]:
    """The ledger of these offsets."""
    return [
        LedgerRange(
            row["first_offset"],
            row["next_offset"],
            instant_us(row["log_time"]),
            row["epoch"],
            row["worker"],
            row["trace_id"],
            row["committed_at"],
            row["catalog_head"],
        )
        for row in await connection.fetch(
            STATEMENTS["explained_batches"], partition, first_offset, next_offset
        )
    ]


async def start(connection: Connection, partition: int, first_offset: int, log_time_us: int) -> Start:
    """Where a partition's log must be read from to meet everything appended at this log time or later.

    `first_offset` is where the log begins for this schema.
    """
    row = await connection.fetchrow(STATEMENTS["reading_start"], partition, log_time_us)
    if row is None:
        return Start(first_offset, None)
    return Start(row["next_offset"], instant_us(row["log_time"]))


async def end(connection: Connection, partition: int, counted_to: int, log_time_us: int) -> int:
    """The offset up to which a partition's log holds everything appended before this log time.

    `counted_to` is where counting stands: nothing behind it has been counted yet.
    """
    found: int | None = await connection.fetchval(STATEMENTS["reading_end"], partition, log_time_us)
    return counted_to if found is None else found


async def plan(connection: Connection, name: str, version: int) -> Mapping[str, Any]:
    """The stored definition of a plan's version, which a rated total has pinned."""
    found: Mapping[str, Any] = await connection.fetchval(STATEMENTS["explained_plan"], name, version)
    return found


async def subscription(connection: Connection, name: str, version: int) -> Mapping[str, Any]:
    """The stored definition of a subscription's version."""
    found: Mapping[str, Any] = await connection.fetchval(STATEMENTS["explained_subscription"], name, version)
    return found


async def carried_from(
    connection: Connection, meter_version_ids: Sequence[int], subjects: Sequence[str], from_us: int
) -> int:
    """Where to begin with a gauge's windows so that all is there that is carried into a range."""
    found: int | None = await connection.fetchval(
        STATEMENTS["carried_from"], meter_version_ids, subjects, from_us
    )
    return from_us if found is None else found


async def rejected(connection: Connection, partition: int) -> list[int]:
    """Offsets of records that the database could not hold."""
    return [offset for (offset,) in await connection.fetch(STATEMENTS["rejected_offsets"], partition)]


def _arguments(scope: Scope) -> tuple[object, ...]:
    return (
        list(scope.meter_version_ids),
        list(scope.subjects),
        BEGINNING_US if scope.from_us is None else scope.from_us,
        END_US if scope.to_us is None else scope.to_us,
    )
