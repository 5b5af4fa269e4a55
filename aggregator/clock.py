"""The log is the only clock: a partition's frontier is the running maximum of its record timestamps."""

from typing import Final, NamedTuple

import numpy as np

from aggregator.memory import I64
from aggregator.reading import Reading
from aggregator.state import PartitionState, TopicRules

CLOCK_JUMP_US: Final = 5 * 60 * 1_000_000
"""A record this far ahead of the worker's own clock was stamped by a clock that is wrong."""

TIMESTAMP_TYPES: Final = {"record": 0, "broker": 1}  # CreateTime, LogAppendTime


_NO_CAP_US: Final = 2**63 - 1


class ClockJump(NamedTuple):
    """The first record whose timestamp cannot be true."""

    offset: int
    timestamp_us: int


def frontiers_us(reading: Reading, state: PartitionState) -> I64:
    """F(o) of every record: the running maximum of timestamps, whatever the records' outcomes."""
    stamps_us = _believed_us(reading, state)
    if state.frontier_us is not None and len(stamps_us):
        stamps_us = np.maximum(stamps_us, state.frontier_us)
    return np.maximum.accumulate(stamps_us)


def clock_jump(reading: Reading, state: PartitionState, now_us: int) -> ClockJump | None:
    """The first record that claims to be written in the future, if any: do not fold it."""
    stamps_us = _believed_us(reading, state)
    ahead = np.flatnonzero(stamps_us > now_us + CLOCK_JUMP_US)
    if not len(ahead):
        return None
    return ClockJump(int(reading.offsets[ahead[0]]), int(stamps_us[ahead[0]]))


def wrong_timestamp_type(reading: Reading, rules: TopicRules) -> int | None:
    """The offset of the first record not stamped as the topic's contract says, if any."""
    expected = TIMESTAMP_TYPES[rules.clock]
    if {record.timestamp_type for record in reading.records} <= {expected}:
        return None
    return next(record.offset for record in reading.records if record.timestamp_type != expected)


def _believed_us(reading: Reading, state: PartitionState) -> I64:
    """Record timestamps, with an operator's cap in place of a broker clock that jumped."""
    if not state.caps_us:
        return reading.timestamps_us
    caps_us = [state.caps_us.get(offset, _NO_CAP_US) for offset in reading.offsets.tolist()]
    return np.minimum(reading.timestamps_us, np.array(caps_us, dtype=np.int64))
