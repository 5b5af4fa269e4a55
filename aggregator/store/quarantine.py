"""Refused records: kept as they came."""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from aggregator.batch import Batch, Quarantined
from aggregator.store.connection import Connection
from aggregator.store.headers import Headers, read_headers, storable, stored_headers
from aggregator.store.sent import Sent
from aggregator.store.statements import STATEMENTS
from schemas.codes import Code


class Refusal(NamedTuple):
    """Why a record, or an accepted one for a single meter version, is in quarantine."""

    partition: int
    offset: int
    meter_version_id: int | None  # None: the record itself
    code: str
    detail: str
    record_us: int
    refused_us: int
    source: str | None
    id: str | None
    type: str | None
    subject: str | None
    event_us: int | None
    origin: str | None


class Kept(NamedTuple):
    """A refused record as it came."""

    refusal: Refusal
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Headers


async def write(sent: Sent, batches: Sequence[Batch]) -> None:
    """Keep what the batches refused; what is misplaced is put into the outbox too."""
    refused = [(batch.partition, row) for batch in batches for row in batch.quarantined]
    await sent.insert("insert_quarantined", [_columns(partition, row) for partition, row in refused])
    await sent.insert(
        "insert_misplaced",
        [
            (partition, row.offset, row.target_partition)
            for partition, row in refused
            if row.target_partition is not None
        ],
    )


async def counts(connection: Connection) -> dict[str, int]:
    """How much is kept in quarantine, by code."""
    rows = await connection.fetch(STATEMENTS["quarantine_counts"])
    return {row["code"]: row["rows"] for row in rows}


async def newest(
    connection: Connection, limit: int, *, code: str | None = None, subject: str | None = None
) -> list[Refusal]:
    """What was refused last, without payloads; any role may read this."""
    codes = [code] if code else [one.value for one in Code]
    rows = await connection.fetch(STATEMENTS["newest_quarantined"], codes, subject, limit)
    return [_refusal(row) for row in rows]


async def of_record(connection: Connection, partition: int, offset: int) -> list[Kept]:
    """All that is kept of one record: itself, or a row per meter version that could not read it."""
    return [
        Kept(_refusal(row), row["timestamp_type"], row["key"], row["value"], read_headers(row["headers"]))
        for row in await connection.fetch(STATEMENTS["quarantined_record"], partition, offset)
    ]


def _refusal(row: asyncpg.Record) -> Refusal:
    return Refusal(
        partition=row["partition"],
        offset=row["record_offset"],
        meter_version_id=row["meter_version_id"] or None,
        code=row["code"],
        detail=row["detail"],
        record_us=row["record_time"],
        refused_us=row["refused_at"],
        source=row["source"],
        id=row["id"],
        type=row["type"],
        subject=row["subject"],
        event_us=row["event_time"],
        origin=row["origin"],
    )


def _columns(partition: int, row: Quarantined) -> tuple[object, ...]:
    return (
        partition,
        row.offset,
        row.meter_version_id or 0,
        row.code,
        storable(row.detail),
        row.timestamp_us,
        row.timestamp_type,
        row.key,
        row.value,
        stored_headers(row.headers),
        storable(row.source),
        storable(row.id),
        storable(row.type),
        storable(row.subject),
        row.time_us,
        storable(row.origin),
    )
