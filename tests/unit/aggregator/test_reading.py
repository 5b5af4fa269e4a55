"""What a reading weighs, and what is too large to be counted whatever it says."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle.logs import KafkaRecord
from unit.schemas.records import ATTRIBUTES, binary, structured

from aggregator.reading import concat, read, split
from schemas.binding import headers_bytes
from schemas.codes import Code
from schemas.event import MAX_BESIDE_VALUE_BYTES, MAX_VALUE_BYTES
from schemas.repair import MAX_REPAIR_BYTES, REPAIR_HEADER, RepairOrigin
from schemas.topic import LARGEST_RECORD_BYTES
from schemas.wire import Event, Refusal

HEADERS = st.lists(
    st.tuples(st.text(st.characters(codec="ascii"), max_size=5), st.none() | st.binary(max_size=5)),
    max_size=3,
)
RECORDS = st.lists(
    st.builds(
        KafkaRecord,
        offset=st.just(0),
        timestamp=st.just(0),
        value=st.none() | st.binary(max_size=9),
        key=st.none() | st.binary(max_size=9),
        headers=HEADERS,
    ),
    min_size=2,
    max_size=8,
)


def _bytes(record: KafkaRecord) -> int:
    size = len(record.value or b"") + len(record.key or b"")
    for name, value in record.headers:
        size += 6 + len(name) + len(value or b"")
    return size


@given(RECORDS, st.sets(st.integers(0, 20), min_size=8, max_size=8))
def test_each_record_has_its_offset_with_gaps_or_without(
    records: list[KafkaRecord], places: set[int]
) -> None:
    offsets = sorted(places)[: len(records)]
    records = [replace(record, offset=offset) for record, offset in zip(records, offsets, strict=True)]
    assert read(0, 0, 21, records).offsets.tolist() == offsets


@given(RECORDS)
def test_a_reading_weighs_what_its_records_do_however_it_is_cut(records: list[KafkaRecord]) -> None:
    records = [replace(record, offset=offset) for offset, record in enumerate(records)]
    reading = read(0, 0, len(records), records)
    assert reading.offsets.tolist() == [record.offset for record in records]
    assert reading.size_bytes == sum(map(_bytes, records))
    parts = split(reading, 1)
    assert [part.size_bytes for part in parts] == [_bytes(records[0]), sum(map(_bytes, records[1:]))]
    assert concat(parts).size_bytes == reading.size_bytes


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize("is_binary", [False, True])
def test_key_and_headers_have_a_longest_size_together(excess: int, *, is_binary: bool) -> None:
    headers = binary() if is_binary else []
    value = json.dumps({"n": 1}).encode() if is_binary else structured()
    taken = sum(len(name) + len(text or b"") + 6 for name, text in headers)
    long = b"x" * (MAX_BESIDE_VALUE_BYTES - taken - len(b"key") - len("long") - 6 + excess)
    record = KafkaRecord(0, 0, value, b"key", [*headers, ("long", long)])
    ordinary = KafkaRecord(1, 0, structured(), b"key", [])
    judged, other = read(0, 0, 2, [record, ordinary]).events
    assert isinstance(other, Event)
    if excess:
        assert isinstance(judged, Refusal)
        assert judged.code is Code.OVERSIZE
        assert str(MAX_BESIDE_VALUE_BYTES + 1) in judged.detail
        assert (judged.subject, judged.id) == (ATTRIBUTES["subject"], ATTRIBUTES["id"])
    else:
        assert isinstance(judged, Event)


def test_a_topic_has_room_for_the_largest_record_and_its_way_back() -> None:
    overhead = 61 + 21 + 3 * 5  # a batch, a record, and the lengths of key, value and headers
    longest = max(Code, key=len)
    header = (REPAIR_HEADER, RepairOrigin(10**9 - 1, 10**18 - 1, longest, 10**9 - 1).encode())
    assert headers_bytes([header]) <= MAX_REPAIR_BYTES
    assert MAX_VALUE_BYTES + MAX_BESIDE_VALUE_BYTES + overhead + MAX_REPAIR_BYTES < LARGEST_RECORD_BYTES

    long = ("long", b"x" * (MAX_BESIDE_VALUE_BYTES - len("long") - 6))
    records = [
        KafkaRecord(0, 0, structured(), None, [long, header]),
        KafkaRecord(1, 0, structured(), b"k", [long]),
    ]
    repair, live = read(0, 0, 2, records).events
    assert isinstance(repair, Event)
    assert isinstance(live, Refusal)
