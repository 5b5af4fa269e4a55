"""Is the log that the broker has the one that was counted?"""

from typing import NamedTuple

from aggregator.batch import LogRecord
from aggregator.identity import record_hash
from aggregator.state import PartitionState, TopicRules
from metering.worker.log_reader import Bounds
from metering.worker.topic_watch import LogView
from schemas.codes import Code


class Fault(NamedTuple):
    """Why not: a stop code, and what was seen."""

    code: Code
    seen: str


def log_fault(counted: PartitionState, bounds: Bounds, found: LogRecord | None) -> Fault | None:
    """What speaks against going on where counting ended, if anything.

    Args:
        counted: what is committed of the partition.
        bounds: where its log begins and ends now.
        found: the record that lies where the last counted one did; only asked for if that is still retained.
    """
    if bounds.end < counted.next_offset:
        return Fault(
            Code.LOG_REPLACED, f"the log ends at {bounds.end}, but {counted.next_offset} offsets are counted"
        )
    if bounds.beginning > counted.next_offset:
        return Fault(
            Code.OFFSET_OUT_OF_RANGE,
            f"the log begins at {bounds.beginning}, but it is counted only up to {counted.next_offset}",
        )
    last = counted.last
    if last is None or last.offset < bounds.beginning:
        return None
    if found is None:
        return Fault(
            Code.LOG_REPLACED, f"there is no record at {last.offset}, where the last counted one was"
        )
    if record_hash(found) != last.hash:
        return Fault(Code.LOG_REPLACED, f"the record at {last.offset} is another one than was counted")
    return None


def topic_fault(rules: TopicRules, topic_id: bytes, view: LogView) -> Fault | None:
    """What speaks against the whole topic, if anything; `topic_id` is the one this process began with."""
    if view.partition_count != rules.partitions:
        return Fault(
            Code.PARTITION_COUNT_CHANGED,
            f"{view.partition_count} partitions, but {rules.partitions} are counted",
        )
    if view.topic_id != topic_id:
        return Fault(Code.LOG_REPLACED, "the topic was deleted and made again")
    return None


def offset_to_compare(counted: PartitionState, bounds: Bounds) -> int | None:
    """Where the last counted record lies, if the log still has it."""
    last = counted.last
    return last.offset if last is not None and bounds.beginning <= last.offset < bounds.end else None
