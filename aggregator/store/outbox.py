"""Misplaced records on their way to their subject's partition: one process at a time republishes them."""

from collections.abc import Sequence
from typing import NamedTuple

from aggregator.store.connection import Connection
from aggregator.store.headers import Headers, read_headers
from aggregator.store.statements import STATEMENTS


class Misplaced(NamedTuple):
    """A quarantined record with all that its repair record needs."""

    partition: int
    offset: int
    target_partition: int
    code: str
    timestamp_us: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    subject: str | None


class Published(NamedTuple):
    """Where the repair record of a misplaced one now lies."""

    partition: int
    offset: int
    published_partition: int
    published_offset: int


async def take(connection: Connection, limit: int) -> list[Misplaced]:
    """The oldest records to republish; none if there are none, or if another process is at it.

    Call it within a transaction, which keeps other processes out until it ends; publish, `mark_published`,
    commit. Should that fail half-way they are published again: the copies are found to be duplicates.
    """
    if not connection.is_in_transaction():
        raise RuntimeError("take the outbox within a transaction")
    if not await connection.fetchval(STATEMENTS["try_drain"]):
        return []
    rows = await connection.fetch(STATEMENTS["take_misplaced"], limit)
    return [
        Misplaced(
            partition=row["partition"],
            offset=row["record_offset"],
            target_partition=row["target_partition"],
            code=row["code"],
            timestamp_us=row["record_time"],
            key=row["key"],
            value=row["value"],
            headers=read_headers(row["headers"]),
            subject=row["subject"],
        )
        for row in rows
    ]


async def mark_published(connection: Connection, published: Sequence[Published]) -> None:
    """Record where repair records were published."""
    if published:
        await connection.execute(STATEMENTS["mark_published"], *zip(*published, strict=True))


async def pending(connection: Connection) -> int:
    """How many misplaced records wait to be republished."""
    count: int = await connection.fetchval(STATEMENTS["pending_repairs"])
    return count


async def targets(connection: Connection) -> dict[int, int]:
    """By partition, the offset to count up to so that every repair record published so far is counted."""
    rows = await connection.fetch(STATEMENTS["repair_targets"])
    return {row["partition"]: row["target"] for row in rows}
