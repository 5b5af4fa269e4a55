"""A stretch of one partition's log, decoded: what a fold reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from aggregator.batch import LogRecord
from schemas.wire import Event, Refusal, decode


@dataclass(frozen=True, slots=True)
class Reading:
    """Offsets `[first_offset, next_offset)` of a partition; offsets without a record are a gap."""

    partition: int
    first_offset: int
    next_offset: int
    records: Sequence[LogRecord]
    events: Sequence[Event | Refusal]  # one per record

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
    events = [decode(record.value, record.headers) for record in records]
    return Reading(partition, first_offset, next_offset, records, events)


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
    )


def split(reading: Reading, offset: int) -> tuple[Reading, Reading]:
    """The reading before `offset`, and from it on.

    Raises:
        ValueError: the offset does not lie inside.
    """
    if not reading.first_offset < offset < reading.next_offset:
        msg = f"offset {offset} does not lie inside {reading.first_offset}..{reading.next_offset}"
        raise ValueError(msg)
    count = sum(record.offset < offset for record in reading.records)
    return (
        Reading(
            reading.partition, reading.first_offset, offset, reading.records[:count], reading.events[:count]
        ),
        Reading(
            reading.partition, offset, reading.next_offset, reading.records[count:], reading.events[count:]
        ),
    )
