"""Can this log be replayed? Asked before anything is made."""

from collections.abc import Mapping, Sequence
from typing import Final

from aggregator.state import opened
from aggregator.store.replay import CountedPartition, Source
from metering.errors import StoppedError
from metering.replay.legs import Leg, reads
from metering.worker.guard import Topic
from metering.worker.log_reader import Bounds, UnreadableRecordError
from metering.worker.stops import Stop, stopped_error
from metering.worker.verification import log_fault, offset_to_compare

LOG_START_GONE: Final = "log_start_gone"


class LogStartGoneError(StoppedError):
    """Some of what was counted cannot be read any more; `beginnings` say what each partition still has."""

    def __init__(self, sentence: str, beginnings: Mapping[int, int]) -> None:
        super().__init__(LOG_START_GONE, sentence)
        self.beginnings = beginnings


async def check_log(topic: Topic, source: Source, ways: Mapping[int, Sequence[Leg]]) -> None:
    """Compare the log with what was counted of it.

    Raises:
        StoppedError: it is another log (`log_replaced`).
        LogStartGoneError: it no longer has what must be read of it.
    """
    partitions = [one.claimed.partition for one in source.partitions]
    bounds = await topic.brokers.until_done("find the log", lambda: topic.reader.bounds(partitions))
    for one in source.partitions:
        partition = one.claimed.partition
        _check_beginning(one, ways[partition], bounds)
        await _check_identity(topic, source, one, bounds[partition])


def _check_beginning(one: CountedPartition, way: Sequence[Leg], bounds: Mapping[int, Bounds]) -> None:
    wanted = reads(one.first_offset, way)
    beginning = bounds[one.claimed.partition].beginning
    if wanted and wanted[0].start < beginning:
        raise LogStartGoneError(
            f"Partition {one.claimed.partition} must be read from offset {wanted[0].start}, but its log "
            f"begins at {beginning} now: what retention has deleted cannot be counted again",
            {partition: of_one.beginning for partition, of_one in bounds.items()},
        )


async def _check_identity(topic: Topic, source: Source, one: CountedPartition, bounds: Bounds) -> None:
    """The last record that was counted must be the one that lies there."""
    counted = opened(source.rules, one.claimed, b"", {})
    offset, found = offset_to_compare(counted, bounds), None
    if offset is not None:
        try:
            found = await topic.reader.record_at(counted.partition, offset)
        except UnreadableRecordError:
            return  # an operator has skipped it, or counting will stop there
    fault = log_fault(counted, bounds, found)
    if fault is not None:
        raise stopped_error(Stop(fault.code, counted.partition, counted.next_offset, fault.seen))
