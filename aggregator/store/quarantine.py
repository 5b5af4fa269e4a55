"""Refused records: kept as they came."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import asyncpg

from aggregator.batch import Batch, Quarantined
from aggregator.store.connection import Connection
from aggregator.store.headers import Headers, read_headers, storable, stored_headers
from aggregator.store.sent import Sent
from aggregator.store.statements import STATEMENTS
from schemas.codes import Code

STATEMENT_BYTES: Final = 64 * 1024 * 1024
"""Keys, values and headers sent at once; headers are longer here than in the log, for they are base64."""


class State(StrEnum):
    """What has become of a refused record; see the view `quarantine_state`."""

    OPEN = "open"
    REFUSED_AGAIN = "refused_again"
    REDRIVEN = "redriven"
    COUNTED = "counted"
    DUPLICATE = "duplicate"
    DISCARDED = "discarded"
    REPAIR = "repair"


WAITING: Final = (State.OPEN, State.REFUSED_AGAIN)
"""The states in which a record waits for somebody to decide."""


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
    state: State


class Group(NamedTuple):
    """Refusals that are alike, in one state; `meter` is of those that one meter alone could not read."""

    code: str
    source: str | None
    meter: str | None
    state: State
    records: int
    oldest_us: int
    newest_us: int


class Kept(NamedTuple):
    """A refused record as it came."""

    refusal: Refusal
    attempts: int  # to bring it back, or to give it up
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Pile(NamedTuple):
    """What is in quarantine for one reason."""

    code: str
    rows: int
    oldest_us: int  # age


class _Columns(NamedTuple):
    """A row as `insert_quarantined` takes it."""

    partition: int
    record_offset: int
    meter_version_id: int
    code: str
    detail: str | None
    record_us: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: str
    source: str | None
    id: str | None
    type: str | None
    subject: str | None
    event_us: int | None
    origin: str | None


async def write(sent: Sent, batches: Sequence[Batch]) -> None:
    """Keep what the batches refused; what is misplaced is put into the outbox too."""
    refused = [(batch.partition, row) for batch in batches for row in batch.quarantined]
    for part in _parts(refused):
        await sent.insert("insert_quarantined", part)
    await sent.insert(
        "insert_misplaced",
        [
            (partition, row.offset, row.target_partition)
            for partition, row in refused
            if row.target_partition is not None
        ],
    )


def _parts(refused: Sequence[tuple[int, Quarantined]]) -> Iterator[list[_Columns]]:
    """The rows, in as many statements as keep each far from the gigabyte that one value may have."""
    part: list[_Columns] = []
    size_bytes = 0
    for partition, row in refused:
        columns = _columns(partition, row)
        part.append(columns)
        size_bytes += len(columns.key or b"") + len(columns.value or b"") + len(columns.headers)
        if size_bytes >= STATEMENT_BYTES:
            yield part
            part, size_bytes = [], 0
    yield part


async def ages(connection: Connection) -> list[Pile]:
    """How much of each code waits for somebody to decide, and for how long the oldest; any role may ask."""
    rows = await connection.fetch(STATEMENTS["quarantine_ages"])
    return [Pile(row["code"], row["rows"], row["oldest"]) for row in rows]


async def groups(
    connection: Connection, code: str | None, source: str | None, subject: str | None
) -> list[Group]:
    """What was refused, by code, source, meter and state; any role may read this."""
    rows = await connection.fetch(STATEMENTS["quarantine_groups"], code, source, subject)
    return [
        Group(
            row["code"],
            row["source"],
            row["meter"],
            State(row["state"]),
            row["records"],
            row["oldest"],
            row["newest"],
        )
        for row in rows
    ]


async def may_read_payloads(connection: Connection) -> bool:
    """Whether this connection's role may see what refused records say; readers may not."""
    may: bool = await connection.fetchval(STATEMENTS["may_read_payloads"])
    return may


async def newest(
    connection: Connection,
    limit: int,
    *,
    code: str | None = None,
    source: str | None = None,
    subject: str | None = None,
) -> list[Refusal]:
    """What was refused last, without payloads; any role may read this."""
    codes = [code] if code else [one.value for one in Code]
    rows = await connection.fetch(STATEMENTS["newest_quarantined"], codes, source, subject, limit)
    return [_refusal(row) for row in rows]


async def refusals(connection: Connection, partition: int, offset: int) -> list[Refusal]:
    """Why a record is here, a row, or one per meter version; without its payload: any role may ask."""
    return [_refusal(row) for row in await connection.fetch(STATEMENTS["refusals_of"], partition, offset)]


async def of_record(connection: Connection, partition: int, offset: int) -> list[Kept]:
    """All that is kept of one record: itself, or a row per meter version that could not read it."""
    return [
        kept_of(row) for row in await connection.fetch(STATEMENTS["quarantined_record"], partition, offset)
    ]


def kept_of(row: asyncpg.Record) -> Kept:
    """A row with its payload."""
    return Kept(
        _refusal(row),
        row["attempts"],
        row["timestamp_type"],
        row["key"],
        row["value"],
        read_headers(row["headers"]),
    )


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
        state=State(row["state"]),
    )


def _columns(partition: int, row: Quarantined) -> _Columns:
    return _Columns(
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
