"""Repair records on their way to their subject's partition: one process at a time publishes them.

Misplaced records are put here by the flush that refuses them, others by a person who decides so.
"""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from aggregator.store.connection import Connection
from aggregator.store.headers import Headers, read_headers
from aggregator.store.statements import STATEMENTS
from schemas.codes import Code
from schemas.repair import RepairOrigin


class Repair(NamedTuple):
    """What is to be published under a repair header."""

    origin: RepairOrigin
    action_id: int | None  # whose decision it is; None: misplaced, so nobody had to decide
    target_partition: int
    timestamp_us: int  # of the refused record
    key: bytes | None
    value: bytes | None
    headers: Headers
    subject: str | None


class Published(NamedTuple):
    """Where a repair record now lies."""

    repair: Repair
    partition: int
    offset: int


async def take(connection: Connection, limit: int) -> list[Repair]:
    """The oldest records to publish; none if there are none, or if another process is at it.

    Call it within a transaction, which keeps other processes out until it ends; publish, `mark_published`,
    commit. Should that fail half-way they are published again: the copies are found to be duplicates.
    """
    if not connection.is_in_transaction():
        raise RuntimeError("take the outbox within a transaction")
    if not await connection.fetchval(STATEMENTS["try_drain"]):
        return []
    misplaced = await connection.fetch(STATEMENTS["take_misplaced"], limit)
    redriven = await connection.fetch(STATEMENTS["take_redriven"], limit - len(misplaced))
    return [_repair(row) for row in (*misplaced, *redriven)]


async def mark_published(connection: Connection, published: Sequence[Published]) -> None:
    """Record where repair records were published."""
    misplaced = [
        (one.repair.origin.partition, one.repair.origin.offset, one.partition, one.offset)
        for one in published
        if one.repair.action_id is None
    ]
    if misplaced:
        await connection.execute(STATEMENTS["mark_published"], *zip(*misplaced, strict=True))
    redriven = [
        (one.repair.action_id, one.partition, one.offset)
        for one in published
        if one.repair.action_id is not None
    ]
    if redriven:
        await connection.execute(STATEMENTS["mark_redriven"], *zip(*redriven, strict=True))


async def pending(connection: Connection) -> int:
    """How many repair records wait to be published."""
    count: int = await connection.fetchval(STATEMENTS["pending_repairs"])
    return count


async def targets(connection: Connection) -> dict[int, int]:
    """By partition, the offset to count up to so that every repair record published so far is counted."""
    rows = await connection.fetch(STATEMENTS["repair_targets"])
    return {row["partition"]: row["target"] for row in rows}


def _repair(row: asyncpg.Record) -> Repair:
    return Repair(
        origin=RepairOrigin(
            row["partition"], row["record_offset"], Code(row["code"]), row["meter_version_id"] or None
        ),
        action_id=row["action_id"],
        target_partition=row["target_partition"],
        timestamp_us=row["record_time"],
        key=row["key"],
        value=row["value"],
        headers=read_headers(row["headers"]),
        subject=row["subject"],
    )
