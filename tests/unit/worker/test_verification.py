from dataclasses import replace
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from oracle.logs import RULES

from aggregator.identity import record_hash
from aggregator.state import Claimed, LastRecord, PartitionState, opened
from metering.worker.log_reader import Bounds
from metering.worker.topic_watch import LogView
from metering.worker.verification import log_fault, offset_to_compare, topic_fault
from schemas.codes import Code

TOPIC_ID = b"t" * 16


def record(offset: int, **changes: Any) -> ConsumerRecord[bytes, bytes]:
    made = ConsumerRecord("t", 0, offset, 1_700_000_000_000, 1, b"key", b"value", None, 3, 5, ())
    return replace(made, **changes)


LAST = record(9)


def counted(next_offset: int, last: ConsumerRecord[bytes, bytes] | None = LAST) -> PartitionState:
    kept = None if last is None else LastRecord(last.offset, last.timestamp * 1000, record_hash(last))
    return opened(RULES, Claimed(0, next_offset, None, None, kept), b"", {})


@pytest.mark.parametrize(
    ("state", "bounds", "found", "code"),
    [
        (counted(10), Bounds(0, 10), LAST, None),
        (counted(12), Bounds(0, 99), LAST, None),
        (counted(10), Bounds(10, 10), None, None),
        (counted(10), Bounds(10, 15), None, None),
        (counted(0, None), Bounds(0, 0), None, None),
        (counted(7, None), Bounds(7, 7), None, None),
        (counted(10), Bounds(0, 9), None, Code.LOG_REPLACED),
        (counted(10), Bounds(0, 0), None, Code.LOG_REPLACED),
        (counted(10), Bounds(11, 20), None, Code.OFFSET_OUT_OF_RANGE),
        (counted(0, None), Bounds(1, 20), None, Code.OFFSET_OUT_OF_RANGE),
        (counted(10), Bounds(0, 20), None, Code.LOG_REPLACED),
        (counted(10), Bounds(0, 20), record(9, value=b"other"), Code.LOG_REPLACED),
        (counted(10), Bounds(0, 20), record(9, timestamp=1), Code.LOG_REPLACED),
        (counted(10), Bounds(0, 20), record(9, key=None), Code.LOG_REPLACED),
    ],
)
def test_a_log_is_the_one_that_was_counted_or_it_is_said_why_not(
    state: PartitionState, bounds: Bounds, found: Any, code: Code | None
) -> None:
    fault = log_fault(state, bounds, found)
    assert (fault and fault.code) == code


@pytest.mark.parametrize(
    ("state", "bounds", "offset"),
    [
        (counted(10), Bounds(0, 10), 9),
        (counted(10), Bounds(9, 10), 9),
        (counted(10), Bounds(10, 12), None),
        (counted(10), Bounds(0, 5), None),
        (counted(10, None), Bounds(0, 10), None),
    ],
)
def test_which_record_to_compare(state: PartitionState, bounds: Bounds, offset: int | None) -> None:
    assert offset_to_compare(state, bounds) == offset


@pytest.mark.parametrize(
    ("view", "code"),
    [
        (LogView(TOPIC_ID, RULES.partitions, {}), None),
        (LogView(b"u" * 16, RULES.partitions, {}), Code.LOG_REPLACED),
        (LogView(TOPIC_ID, RULES.partitions + 1, {}), Code.PARTITION_COUNT_CHANGED),
        (LogView(b"u" * 16, RULES.partitions - 1, {}), Code.PARTITION_COUNT_CHANGED),
    ],
)
def test_a_topic_keeps_its_id_and_its_partitions(view: LogView, code: Code | None) -> None:
    fault = topic_fault(RULES, TOPIC_ID, view)
    assert (fault and fault.code) == code
