"""What the publisher would send: the digits it was given, judged by the authority."""

import datetime as dt
import json
from decimal import Decimal

import pytest

from metering.publisher.encoding import to_json, to_void
from metering.publisher.placement import CACHED_SUBJECTS, Placement
from metering.publisher.refusal import EventRefused, checked
from schemas.authority import judge
from schemas.control import tick
from schemas.control_types import VOID_TYPE
from schemas.partitioner import PARTITIONERS
from schemas.topic import TopicContract
from schemas.wire import Event, Void, decode

EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "gateway",
    "type": "llm.completion",
    "subject": "acme",
    "time": "2026-11-24T03:00:00Z",
}


def event(**data: object) -> dict[str, object]:
    return {**EVENT, "data": data}


@pytest.mark.parametrize(
    ("number", "digits"),
    [
        (Decimal("0.10"), b"0.10"),
        (Decimal("1E+30"), b"1E+30"),
        (10**37 + 1, b"10000000000000000000000000000000000001"),
        (-(2**63) - 1, b"-9223372036854775809"),
        (7, b"7"),
    ],
)
def test_numbers_keep_their_digits(number: Decimal | int, digits: bytes) -> None:
    value = to_json(event(amount=number, flag=True, list=[number]))
    assert b'"amount":' + digits + b"," in value
    data = checked(value).data
    assert (data["amount"], data["list"], data["flag"]) == (number, [number], True)


def test_bytes_are_sent_as_they_are() -> None:
    value = b' {"specversion" : "1.0"} '
    assert to_json(value) is value


def test_a_model_is_sent_with_equal_values() -> None:
    usage = judge(json.dumps(event(tokens=12)).encode(), ())
    assert checked(to_json(usage)) == usage


def test_a_void_repeats_its_event_with_the_bytes_that_were_published() -> None:
    published = {**event(amount=Decimal("0.10"), model="große"), "source": "gateway"}
    for given in (published, to_json(published), b" " + to_json(published).replace(b"0.10", b" 0.10 ")):
        original, void = decode(to_json(given), ()), decode(to_void(given), ())
        assert isinstance(original, Event)
        assert isinstance(void, Event)
        assert isinstance(void.control, Void)
        assert (void.source, void.id, void.type, void.subject, void.time_us) == (
            *(original.source, original.id, original.type, original.subject, original.time_us),
        )
        assert bytes(void.data) == bytes(original.data)
        assert to_void(given) == to_void(given)


def test_a_void_can_be_sent_and_not_withdrawn() -> None:
    void = to_void(event(n=1), id="by hand")
    assert (checked(void).type, checked(void).id) == (VOID_TYPE, "by hand")
    for value in (void, tick("x", "1", 0, "partition-0")):
        with pytest.raises(EventRefused) as refusal:
            to_void(value)
        assert refusal.value.code == "reserved_type"


def test_an_aware_datetime_is_a_time_and_a_naive_one_is_refused() -> None:
    noon = dt.datetime(2026, 11, 24, 12, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    assert checked(to_json({**event(), "time": noon})).time_us == int(noon.timestamp()) * 1_000_000
    with pytest.raises(EventRefused) as refusal:
        checked(to_json({**event(), "time": noon.replace(tzinfo=None)}))
    assert refusal.value.code == "naive_time"


def test_what_has_no_form_in_json_is_refused() -> None:
    with pytest.raises(EventRefused) as refusal:
        to_json(event(thing=object()))
    assert refusal.value.code == "not_json"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"{", "not_json"),
        (b'{"specversion":"1.0"}', "missing_attribute"),
        (to_json({**event(), "subject": ""}), "empty_subject"),
        (to_json({**event(), "data": 3}), "data_not_object"),
        (to_json(event(amount=Decimal("NaN"))), "not_a_number"),
        (tick("x", "1", 0, "partition-0"), "reserved_type"),
    ],
)
def test_a_refusal_has_its_code_and_says_what_to_do(value: bytes, code: str) -> None:
    with pytest.raises(EventRefused) as refusal:
        checked(value)
    assert refusal.value.code == code
    assert len(refusal.value.sentence) > 30


@pytest.mark.parametrize("partitioner", ["murmur2", "crc32"])
def test_a_subject_is_placed_by_the_topics_partitioner_even_when_forgotten(partitioner: str) -> None:
    contract = TopicContract.model_validate({"name": "t", "partitions": 7, "partitioner": partitioner})
    placement = Placement(contract)
    expected = PARTITIONERS[contract.partitioner]
    for number in range(CACHED_SUBJECTS + 10):
        placement.partition_of(f"s{number}")
    assert len(placement._remembered) <= CACHED_SUBJECTS
    for subject in ("s0", "s65540", "süß"):
        for _ in range(2):
            assert placement.partition_of(subject) == expected(subject.encode(), 7)
