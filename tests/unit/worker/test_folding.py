from dataclasses import replace
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from oracle.logs import RULES, START_US

from aggregator.batch import Batch
from aggregator.catalog import Catalog
from aggregator.reading import read
from aggregator.state import Claimed, PartitionState, opened
from metering.worker.backlog import Stretch
from metering.worker.folding import checked, fold_stretch
from schemas.codes import Code

MINUTE_US = 60_000_000


def state(clock: Any = "broker", caps_us: dict[int, int] | None = None) -> PartitionState:
    rules = replace(RULES, clock=clock)
    return opened(rules, Claimed(0, 0, None, None, None), b"", caps_us or {})


def stretch(*timestamps_us: int, timestamp_type: int = 1, first_offset: int = 0) -> Stretch:
    """Tombstones: what is in the records does not matter here."""
    records = [
        ConsumerRecord("t", 0, first_offset + place, us // 1000, timestamp_type, None, None, None, -1, -1, ())
        for place, us in enumerate(timestamps_us, start=2)  # after a gap of two
    ]
    return Stretch(read(0, first_offset, first_offset + 2 + len(records), records), 0, 0, 0, 0)


def test_a_stretch_without_fault_is_read_whole() -> None:
    reading, stop = checked(stretch(START_US, START_US + 5 * MINUTE_US), state(), START_US)
    assert stop is None
    assert reading is not None
    assert (reading.first_offset, reading.next_offset, len(reading.records)) == (0, 4, 2)


def test_what_lies_before_a_jump_of_the_clock_may_be_folded() -> None:
    ahead = START_US + 5 * MINUTE_US + 1000
    reading, stop = checked(stretch(START_US, ahead, START_US), state(), START_US)
    assert stop is not None
    assert (stop.code, stop.offset) == (Code.CLOCK_JUMP, 3)
    assert reading is not None
    assert (reading.first_offset, reading.next_offset, len(reading.records)) == (0, 3, 1)


def test_a_cap_lets_a_jump_pass() -> None:
    ahead = START_US + 60 * MINUTE_US
    _, stop = checked(stretch(START_US, ahead), state(caps_us={3: START_US}), START_US)
    assert stop is None


@pytest.mark.parametrize(
    ("clock", "timestamp_type", "code"),
    [
        ("broker", 0, Code.CREATE_TIME_TOPIC),
        ("record", 1, Code.TOPIC_MISMATCH),
        ("broker", 1, None),
        ("record", 0, None),
    ],
)
def test_timestamps_are_of_the_type_that_the_contract_names(
    clock: str, timestamp_type: int, code: Code | None
) -> None:
    reading, stop = checked(stretch(START_US, timestamp_type=timestamp_type), state(clock), START_US)
    assert (stop and stop.code) == code
    assert reading is not None
    assert len(reading.records) == (1 if code is None else 0), "the gap before it may be folded"


def test_nothing_is_folded_when_the_very_first_offset_is_at_fault() -> None:
    first = stretch(START_US + 60 * MINUTE_US)
    record = replace(first.records[0], offset=0)  # type: ignore[type-var]
    folded = fold_stretch(
        first._replace(reading=read(0, 0, 1, [record])), state(), Catalog(0, {}, {}), START_US
    )
    assert (folded.reading, folded.result) == (None, None)
    assert folded.stop is not None


def test_what_may_be_folded_is_folded_on_the_state_before_it() -> None:
    result = fold_stretch(stretch(START_US, START_US), state(), Catalog(0, {}, {}), START_US).result
    assert isinstance(result, Batch)
    assert (result.outcomes.quarantined, result.outcomes.gap) == (2, 2)
