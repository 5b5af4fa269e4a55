"""Ticks count nothing, voids are their events again, and nobody may write other control events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple
from unit.schemas.records import ATTRIBUTES, binary, data_texts, structured, structured_with

from schemas.authority import judge
from schemas.codes import Code
from schemas.control import is_tick, tick, void, void_id
from schemas.control_types import RESERVED_PREFIX, TICK_TYPE, VOID_TYPE
from schemas.event import MAX_ID_CHARACTERS
from schemas.repair import REPAIR_HEADER, RepairOrigin
from schemas.wire import Event, Refusal, Void, decode

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=256)


@given(names, names, st.integers(0, 2**52), names)
def test_a_tick_is_a_valid_event(source: str, identifier: str, time_us: int, subject: str) -> None:
    event = decode(tick(source, identifier, time_us, subject), ())
    assert isinstance(event, Event)
    assert is_tick(event)
    assert (event.source, event.id, event.time_us, event.subject) == (source, identifier, time_us, subject)
    assert event.values == {}


def encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


@given(data_texts.filter(encodable))
def test_a_void_is_its_event_again_with_the_bytes_of_its_data(data: str) -> None:
    """However they were published, and however the void is sent: so digests are equal."""
    value = structured_with(data)
    event = decode(value, ())
    if isinstance(event, Refusal):
        return
    usage = judge(value, ())
    in_value = void(usage, bytes(event.data), id="1")
    in_headers = in_value[in_value.index(b'"data":') + len(b'"data":') : -1]
    attributes = {"type": VOID_TYPE, "id": "1"}
    live = decode(data.encode(), binary())
    for withdrawn in (decode(in_value, ()), decode(in_headers, binary(**attributes))):
        assert isinstance(withdrawn, Event)
        assert withdrawn.control == Void("1", event.source, event.time_us)
        assert told(withdrawn) == told(event)
        assert isinstance(live, Event)
        assert bytes(withdrawn.data) == bytes(live.data)


def test_a_void_of_a_repair_keeps_its_origin() -> None:
    usage = judge(structured(), ())
    origin = RepairOrigin(3, 7, Code.MISPLACED)
    event = decode(void(usage, b"{}"), [(REPAIR_HEADER, origin.encode())])
    assert isinstance(event, Event)
    assert event.repair == origin
    assert isinstance(event.control, Void)
    assert event.values == {}


@given(names, names)
def test_the_id_of_a_void_is_always_the_same_and_never_too_long(source: str, identifier: str) -> None:
    assert void_id(source, identifier) == void_id(source, identifier)
    assert void_id(source + "1", identifier) != void_id(source, "1" + identifier)
    assert len(void_id(source, identifier)) <= MAX_ID_CHARACTERS


def test_what_is_wrong_with_a_withdrawn_event_is_named() -> None:
    refusal = decode(structured(type=VOID_TYPE, data={**ATTRIBUTES, "data": {}, "id": ""}), ())
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.type) == (Code.EMPTY_ID, VOID_TYPE)
    assert refusal.detail.startswith("data.id: ")


def told(event: Event) -> tuple[object, ...]:
    """What an event says."""
    *attributes, _repair, _control = astuple(event)
    return *attributes[:-1], bytes(event.data)


def test_a_products_event_is_no_tick() -> None:
    event = decode(structured(type="metering.controlled"), ())
    assert isinstance(event, Event)
    assert not is_tick(event)


@pytest.mark.parametrize(
    "name", [RESERVED_PREFIX, RESERVED_PREFIX + "reset", TICK_TYPE + "s", VOID_TYPE + "ed"]
)
def test_other_control_events_are_refused(name: str) -> None:
    refusal = decode(structured(type=name), ())
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.type) == (Code.RESERVED_TYPE, name)
