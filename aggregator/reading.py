"""A stretch of one partition's log, decoded: what a fold reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import add

import numpy as np

from aggregator.batch import LogRecord
from aggregator.memory import I64
from schemas.binding import headers_bytes
from schemas.event import MAX_BESIDE_VALUE_BYTES
from schemas.repair import MAX_REPAIR_BYTES
from schemas.wire import Event, Refusal, decode_all, too_large


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
    size_bytes: int  # of the records' values, keys and headers

    def __post_init__(self) -> None:
        if not self.first_offset <= self.next_offset:
            msg = f"partition {self.partition}: offsets {self.first_offset}..{self.next_offset} run backwards"
            raise ValueError(msg)


def read(partition: int, first_offset: int, next_offset: int, records: Sequence[LogRecord]) -> Reading:
    """Decode the records of offsets `[first_offset, next_offset)`; a record that cannot be is a refusal."""
    if records and not first_offset <= records[0].offset <= records[-1].offset < next_offset:
        msg = (
            f"partition {partition}: records {records[0].offset}..{records[-1].offset} "
            f"lie outside offsets {first_offset}..{next_offset}"
        )
        raise ValueError(msg)
    events = decode_all([record.value for record in records], [record.headers for record in records])
    beside = _beside_values(records)
    if max(beside, default=0) > MAX_BESIDE_VALUE_BYTES:
        events = [_judged_by_size(event, size) for event, size in zip(events, beside, strict=True)]
    return Reading(
        partition,
        first_offset,
        next_offset,
        records,
        events,
        offsets=_offsets(records),
        timestamps_us=np.array([record.timestamp for record in records], dtype=np.int64) * 1000,
        size_bytes=sum(beside) + _in_values(records),
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
        sum(reading.size_bytes for reading in readings),
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
    records = reading.records[rows]
    return Reading(
        reading.partition,
        first_offset,
        next_offset,
        records,
        reading.events[rows],
        reading.offsets[rows],
        reading.timestamps_us[rows],
        sum(_beside_values(records)) + _in_values(records),
    )


def _offsets(records: Sequence[LogRecord]) -> I64:
    first = records[0].offset if records else 0
    if not records or records[-1].offset - first == len(records) - 1:  # no gap: they only grow
        return np.arange(first, first + len(records))
    return np.array([record.offset for record in records], dtype=np.int64)


def _judged_by_size(event: Event | Refusal, beside_value_bytes: int) -> Event | Refusal:
    is_repair = isinstance(event, Event) and event.repair is not None
    # What was small enough is so with the header that brings it back, too.
    limit = MAX_BESIDE_VALUE_BYTES + (MAX_REPAIR_BYTES if is_repair else 0)
    return too_large(event, beside_value_bytes) if beside_value_bytes > limit else event


def _beside_values(records: Sequence[LogRecord]) -> list[int]:
    """Bytes of each record's key and headers."""
    headers = [record.headers for record in records]
    if headers.count(headers[0] if headers else ()) == len(headers):  # most often all are alike
        sizes = [headers_bytes(one) for one in headers[:1]] * len(headers)
    else:
        sizes = [headers_bytes(one) for one in headers]
    return list(map(add, sizes, [len(record.key or b"") for record in records]))


def _in_values(records: Sequence[LogRecord]) -> int:
    return sum([0 if record.value is None else len(record.value) for record in records])
