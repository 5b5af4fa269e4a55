"""The log is the only clock: a partition's frontier is the running maximum of its record timestamps."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from aggregator.batch import LogRecord
from aggregator.memory import I64
from aggregator.reading import Reading
from aggregator.state import PartitionState, TopicRules

CLOCK_JUMP_US: Final = 5 * 60 * 1_000_000
"""A record this far ahead of the worker's own clock was stamped by a clock that is wrong."""

TIMESTAMP_TYPES: Final = {"record": 0, "broker": 1}  # CreateTime, LogAppendTime


class ClockJump(NamedTuple):
    """The first record whose timestamp cannot be true."""

    offset: int
    timestamp_us: int


def timestamps_us(records: Sequence[LogRecord], caps_us: Mapping[int, int]) -> I64:
    """Record timestamps, with an operator's cap in place of a broker clock that jumped."""
    stamps = np.array([record.timestamp for record in records], dtype=np.int64) * 1000
    if caps_us:
        for place, record in enumerate(records):
            cap = caps_us.get(record.offset)
            if cap is not None:
                stamps[place] = min(int(stamps[place]), cap)
    return stamps


def frontiers_us(records: Sequence[LogRecord], state: PartitionState) -> I64:
    """F(o) of every record: the running maximum of timestamps, whatever the records' outcomes."""
    stamps = timestamps_us(records, state.caps_us)
    if state.frontier_us is not None and len(stamps):
        stamps[0] = max(int(stamps[0]), state.frontier_us)
    return np.maximum.accumulate(stamps)


def clock_jump(reading: Reading, state: PartitionState, now_us: int) -> ClockJump | None:
    """The first record that claims to be written in the future, if any: do not fold it."""
    stamps = timestamps_us(reading.records, state.caps_us)
    ahead = np.flatnonzero(stamps > now_us + CLOCK_JUMP_US)
    if not len(ahead):
        return None
    place = int(ahead[0])
    return ClockJump(reading.records[place].offset, int(stamps[place]))


def wrong_timestamp_type(reading: Reading, rules: TopicRules) -> int | None:
    """The offset of the first record not stamped as the topic's contract says, if any."""
    expected = TIMESTAMP_TYPES[rules.clock]
    for record in reading.records:
        if record.timestamp_type != expected:
            return record.offset
    return None
