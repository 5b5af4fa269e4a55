"""Identities that nobody can make collide, and the log as the only clock."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle.logs import RULES, START_US, KafkaRecord, fresh_state

from aggregator.clock import CLOCK_JUMP_US, clock_jump, frontiers_us, wrong_timestamp_type
from aggregator.identity import Identifier, columns, record_hash
from aggregator.reading import Reading, concat, read, split
from schemas.wire import Event

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)


def _event(source: str = "/a", id_: str = "1", subject: str = "s", data: bytes = b"{}") -> Event:
    return Event(id_, source, "t", subject, START_US, {}, msgspec.Raw(data))


def _entry(
    event: Event, key: bytes = b"k" * 16, meter: int | None = None, time_us: int = START_US
) -> tuple[int, int]:
    identifier = Identifier(key)
    high, low = columns(
        identifier.identities([event], {} if meter is None else {0: meter}),
        identifier.digests([event]),
        np.array([time_us]),
        np.array([time_us // 3_600_000_000]),
    )
    return int(high[0]), int(low[0])


def _identity(entry: tuple[int, int]) -> tuple[int, int]:
    return entry[0], entry[1] >> 32


@given(TEXT, TEXT, TEXT, TEXT)
def test_source_and_id_are_told_apart_wherever_the_boundary_lies(a: str, b: str, c: str, d: str) -> None:
    same = (a, b) == (c, d)
    assert (_identity(_entry(_event(a, b))) == _identity(_entry(_event(c, d)))) == same


@given(st.lists(st.sampled_from("abcdefgh"), max_size=30))
def test_who_has_sent_is_known_of_each_batch_for_itself(sources: list[str]) -> None:
    identifier = Identifier(b"k" * 16)
    identifier.identities([_event("/before")], {})
    identities = identifier.identities([_event(source) for source in sources], {})
    assert identities.sources == list(dict.fromkeys(sources))
    assert len(identities.words) == len(sources)


def test_another_schema_has_other_identities() -> None:
    assert _identity(_entry(_event(), b"k" * 16)) != _identity(_entry(_event(), b"l" * 16))


def test_a_repair_for_one_meter_is_another_identity_than_the_event() -> None:
    entries = {_identity(_entry(_event(), meter=meter)) for meter in (None, 1, 2)}
    assert len(entries) == 3


@pytest.mark.parametrize(
    ("other", "time_us"),
    [
        (_event(subject="t"), START_US),
        (_event(data=b'{"n": 1}'), START_US),
        (_event(), START_US + 1),
    ],
)
def test_what_an_event_says_changes_the_digest_alone(other: Event, time_us: int) -> None:
    entry, changed = _entry(_event()), _entry(other, time_us=time_us)

    assert _identity(entry) == _identity(changed)
    assert entry[1] >> 8 & 0xFFFFFF != changed[1] >> 8 & 0xFFFFFF


@pytest.mark.parametrize(
    "other",
    [
        KafkaRecord(1, 1, b"v", b"k"),
        KafkaRecord(0, 2, b"v", b"k"),
        KafkaRecord(0, 1, b"w", b"k"),
        KafkaRecord(0, 1, b"kv", b""),
        KafkaRecord(0, 1, b"kv", None),
        KafkaRecord(0, 1, None, b"k"),
    ],
)
def test_a_record_hash_tells_records_apart(other: KafkaRecord) -> None:
    assert record_hash(other) != record_hash(KafkaRecord(0, 1, b"v", b"k"))


def _reading(*stamps_us: int, timestamp_type: int = 1) -> Reading:
    records = [
        KafkaRecord(n, stamp // 1000, b"{", timestamp_type=timestamp_type)
        for n, stamp in enumerate(stamps_us)
    ]
    return read(0, 0, len(records), records)


def test_the_frontier_never_goes_back_and_starts_where_the_state_is() -> None:
    state = replace(fresh_state(0), frontier_us=START_US)
    reading = _reading(START_US - 5000, START_US + 7000, START_US + 1000, START_US + 9000)

    assert (frontiers_us(reading, state) - START_US).tolist() == [0, 7000, 7000, 9000]


def test_a_record_from_the_future_is_a_jump_unless_an_operator_capped_it() -> None:
    now_us = START_US
    reading = _reading(START_US, START_US + CLOCK_JUMP_US, START_US + CLOCK_JUMP_US + 1000)

    jump = clock_jump(reading, fresh_state(0), now_us)
    assert jump is not None
    assert (jump.offset, jump.timestamp_us) == (2, START_US + CLOCK_JUMP_US + 1000)
    assert clock_jump(reading, replace(fresh_state(0), caps_us={2: START_US}), now_us) is None


def test_a_record_stamped_by_the_wrong_clock_is_found() -> None:
    assert wrong_timestamp_type(_reading(START_US, timestamp_type=1), RULES) is None
    assert wrong_timestamp_type(_reading(START_US, timestamp_type=0), RULES) == 0
    assert wrong_timestamp_type(_reading(START_US, timestamp_type=0), replace(RULES, clock="record")) is None


def test_readings_join_and_split_at_offsets() -> None:
    records = [KafkaRecord(offset, 1, b"{") for offset in (3, 4, 9)]
    whole = read(0, 2, 12, records)

    left, right = split(whole, 5)

    assert [record.offset for record in left.records] == [3, 4]
    assert (left.next_offset, right.first_offset) == (5, 5)
    joined = concat([left, right])
    assert (joined.first_offset, joined.next_offset) == (2, 12)
    assert joined.records == whole.records
    assert joined.events == whole.events
    assert joined.offsets.tolist() == [3, 4, 9]
    assert joined.timestamps_us.tolist() == whole.timestamps_us.tolist()
    with pytest.raises(ValueError, match="is not followed by"):
        concat([right, left])
    with pytest.raises(ValueError, match="does not lie inside"):
        split(whole, 12)
    with pytest.raises(ValueError, match="lie outside"):
        read(0, 4, 12, records)
