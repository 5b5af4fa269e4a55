"""Refused records: kept as they came."""

from collections.abc import Sequence

from aggregator.batch import Batch, Quarantined
from aggregator.store.connection import Connection
from aggregator.store.headers import storable, stored_headers
from aggregator.store.sent import Sent
from aggregator.store.statements import STATEMENTS


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
