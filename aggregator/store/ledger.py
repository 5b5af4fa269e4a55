"""What a flush writes about the log itself: the partition's row, both ledgers and the ids."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aggregator.batch import Batch
from aggregator.store.connection import stored_us
from aggregator.store.errors import Fenced
from aggregator.store.sent import Sent
from schemas.instant import HOUR_US


class Stamp(NamedTuple):
    """Who writes: the trace of this flush and its span there, and the worker's version and instance."""

    trace_id: str | None
    span_id: str | None
    worker: str


async def advance(sent: Sent, batches: Sequence[Batch], epochs: Mapping[int, int]) -> None:
    """Compare and set every partition's row, which stays locked until the transaction ends.

    Raises:
        Fenced: another epoch, or not at the batch's first offset.
    """
    rows = [
        (
            batch.partition,
            epochs[batch.partition],
            batch.first_offset,
            batch.next_offset,
            stored_us(batch.frontier_us),
            batch.newest_time_us,
            *((None, None, None) if batch.last is None else batch.last),
            *batch.outcomes,
            batch.unmetered,
        )
        for batch in batches
    ]
    advanced = await sent.fetch("advance_partitions", *zip(*rows, strict=True))
    if len(advanced) < len(batches):
        raise Fenced({batch.partition for batch in batches} - {row["partition"] for row in advanced})


async def write_ledgers(
    sent: Sent, batches: Sequence[Batch], epochs: Mapping[int, int], stamp: Stamp
) -> None:
    """A row per batch, and one per batch and meter version."""
    await sent.insert(
        "insert_batches",
        [
            (
                batch.partition,
                batch.first_offset,
                batch.next_offset,
                epochs[batch.partition],
                stored_us(batch.frontier_us),
                *batch.outcomes,
                batch.unmetered,
                batch.late_by_pipeline,
                batch.catalog_head,
            )
            for batch in batches
        ],
        *stamp,
    )
    await sent.insert(
        "insert_batch_meters",
        [
            (
                batch.partition,
                batch.first_offset,
                stored_us(batch.frontier_us),
                meter_version_id,
                tally.matched,
                tally.increments,
                tally.adjustments,
                tally.voids,
                tally.errors,
                str(tally.increment_sum),
                str(tally.adjustment_sum),
                str(tally.void_sum),
            )
            for batch in batches
            for meter_version_id, tally in sorted(batch.meters.items())
        ],
    )


async def write_repairs(sent: Sent, batches: Sequence[Batch]) -> None:
    """Where counted repairs come from; most flushes have none."""
    await sent.insert(
        "insert_counted_repairs",
        [
            (
                batch.partition,
                offset,
                origin.partition,
                origin.offset,
                origin.code,
                origin.meter_version_id or 0,
            )
            for batch in batches
            for offset, origin in batch.repairs
        ],
    )


async def write_ids(sent: Sent, batches: Sequence[Batch]) -> None:
    """A chunk per batch and event hour."""
    await sent.insert(
        "insert_chunks",
        [
            (batch.partition, batch.first_offset, hour * HOUR_US, entries)
            for batch in batches
            for hour, entries in sorted(batch.ids.items())
        ],
    )
