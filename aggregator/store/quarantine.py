"""Refused records: kept as they came."""

from base64 import b64encode
from collections.abc import Sequence

from aggregator.batch import Batch, Quarantined
from aggregator.store.connection import json_text
from aggregator.store.sent import Sent


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


def storable(text: str | None) -> str | None:
    """Text that the database takes whatever a producer wrote; the record's own bytes are kept beside it."""
    if text is None:
        return None
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def stored_headers(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """Headers as JSON: `[name, base64 value]` each, in order, for a name may repeat.

    A name that no JSON text in the database can hold is an array of one base64 text.
    """
    return json_text([[_header_name(name), _base64(value)] for name, value in headers])


def _header_name(name: str) -> str | list[str | None]:
    return name if storable(name) == name else [_base64(name.encode("utf-8", "surrogatepass"))]


def _base64(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()
