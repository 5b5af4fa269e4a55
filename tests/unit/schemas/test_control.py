"""Ticks are events that count nothing, and nobody else may write control events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.schemas.records import structured

from schemas.codes import Code
from schemas.control import RESERVED_PREFIX, TICK_TYPE, is_tick, tick
from schemas.wire import Event, Refusal, decode

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=256)


@given(names, names, st.integers(0, 2**52), names)
def test_a_tick_is_a_valid_event(source: str, identifier: str, time_us: int, subject: str) -> None:
    event = decode(tick(source, identifier, time_us, subject), ())
    assert isinstance(event, Event)
    assert is_tick(event)
    assert (event.source, event.id, event.time_us, event.subject) == (source, identifier, time_us, subject)
    assert event.values == {}


def test_a_products_event_is_no_tick() -> None:
    event = decode(structured(type="metering.controlled"), ())
    assert isinstance(event, Event)
    assert not is_tick(event)


@pytest.mark.parametrize("name", [RESERVED_PREFIX, RESERVED_PREFIX + "reset", TICK_TYPE + "s"])
def test_other_control_events_are_refused(name: str) -> None:
    refusal = decode(structured(type=name), ())
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.type) == (Code.RESERVED_TYPE, name)
