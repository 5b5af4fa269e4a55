"""A stretch of one partition's log, decoded: what a fold reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from aggregator.batch import LogRecord
from aggregator.memory import I64
from schemas.wire import Event, Refusal, decode


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Offsets `[first_offset, next_offset)` of a partition; offsets without a record are a gap."""

    partition: int
    first_offset: int
    next_offset: int
    records: Sequence[LogRecord]
    events: Sequence[Event | Refusal]  # one per record, as are these columns:
    offsets: I64
    timestamps_us: I64

    def __post_init__(self) -> None:
        if not self.first_offset <= self.next_offset:
            msg = f"partition {self.partition}: offsets {self.first_offset}..{self.next_offset} run backwards"
            raise ValueError(msg)

    @property
    def size_bytes(self) -> int:
        """Bytes of the records' values and keys."""
        return sum(len(r.value or b"") + len(r.key or b"") for r in self.records)


def read(partition: int, first_offset: int, next_offset: int, records: Sequence[LogRecord]) -> Reading:
    """Decode the records of offsets `[first_offset, next_offset)`; a record that cannot be is a refusal."""
    if records and not first_offset <= records[0].offset <= records[-1].offset < next_offset:
        msg = (
            f"partition {partition}: records {records[0].offset}..{records[-1].offset} "
            f"lie outside offsets {first_offset}..{next_offset}"
        )
        raise ValueError(msg)
    return Reading(
        partition,
        first_offset,
        next_offset,
        records,
        events=[decode(record.value, record.headers) for record in records],
        offsets=np.array([record.offset for record in records], dtype=np.int64),
        timestamps_us=np.array([record.timestamp for record in records], dtype=np.int64) * 1000,
    )


def concat(readings: Sequence[Reading]) -> Reading:
    """Adjacent readings of one partition as one.

    Raises:
        ValueError: they do not join.
    """
    for before, after in pairwise(readings):
        if (before.partition, before.next_offset) != (after.partition, after.first_offset):
            msg = f"offset {before.next_offset} is not followed by {after.first_offset}"
            raise ValueError(msg)
    if len(readings) == 1:
        return readings[0]
    return Reading(
        readings[0].partition,
        readings[0].first_offset,
        readings[-1].next_offset,
        [record for reading in readings for record in reading.records],
        [event for reading in readings for event in reading.events],
        np.concatenate([reading.offsets for reading in readings]),
        np.concatenate([reading.timestamps_us for reading in readings]),
    )


def split(reading: Reading, offset: int) -> tuple[Reading, Reading]:
    """The reading before `offset`, and from it on.

    Raises:
        ValueError: the offset does not lie inside.
    """
    if not reading.first_offset < offset < reading.next_offset:
        msg = f"offset {offset} does not lie inside {reading.first_offset}..{reading.next_offset}"
        raise ValueError(msg)
    count = int(np.searchsorted(reading.offsets, offset))
    return (
        _part(reading, reading.first_offset, offset, slice(None, count)),
        _part(reading, offset, reading.next_offset, slice(count, None)),
    )


def _part(reading: Reading, first_offset: int, next_offset: int, rows: slice) -> Reading:
    return Reading(
        reading.partition,
        first_offset,
        next_offset,
        reading.records[rows],
        reading.events[rows],
        reading.offsets[rows],
        reading.timestamps_us[rows],
    )
