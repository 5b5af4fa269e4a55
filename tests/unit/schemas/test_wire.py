"""The shortcut and the authority never differ, and what common events hold is read right."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from unit.schemas.records import (
    ATTRIBUTES,
    DATA,
    Headers,
    binary,
    binary_records,
    exactly,
    json_texts,
    structured,
    structured_values,
    structured_with,
)

from schemas import wire
from schemas.codes import Code
from schemas.json_text import MAX_NESTING
from schemas.repair import REPAIR_HEADER, RepairOrigin
from schemas.wire import Event, Refusal, decode

TIME_US = 1_795_489_212_345_678


def spelled(decoded: Event | Refusal) -> object:
    """Everything about it, digit by digit."""
    if isinstance(decoded, Refusal):
        return decoded
    *attributes, values, data, repair, control = msgspec.structs.astuple(decoded)
    return attributes, exactly(values), bytes(data), repair, control


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@settings(max_examples=500)
@given(structured_values())
@example(structured_with('{"a":1.00000000000000000000000000000000000000000001}'))
@example(structured_with('{"a":[100000000000000000000000000000000000000]}'))
@example(structured_with('{"a":1,"a":{"b":-0.0}}'))
@example(structured_with('{"a":"\\\\u0000"}'))
@example(structured_with(nested(MAX_NESTING - 1)))
@example(structured_with(nested(MAX_NESTING)))
@example(structured(data={"x" * 600: nested(MAX_NESTING)}))
@example(structured(extension="\ud800"))
@example(structured(extension="\0"))
@example(structured(extension="?").replace(b"?", b"\xff"))
@example(structured(time_us="1", values=[]))
@example(structured(type="metering.control.tick"))
@example(structured(time="2026-11-24T03:00:12.3456789Z"))
@example(structured(time="2026-11-24T03:00:12.345+01Z"))
def test_the_shortcut_never_differs_from_the_authority(value: bytes) -> None:
    assert spelled(decode(value, ())) == spelled(wire._judged(value, ()))


@settings(max_examples=200)
@given(binary_records())
def test_nor_in_binary_mode(record: tuple[bytes, Headers]) -> None:
    value, headers = record
    assert spelled(decode(value, headers)) == spelled(wire._judged(value, headers))


@settings(max_examples=100)
@given(json_texts | st.text(), st.sampled_from([[], binary()]))
def test_any_text_at_all_gets_an_answer(text: str, headers: Headers) -> None:
    value = text.encode("utf-8", "surrogatepass")
    assert spelled(decode(value, headers)) == spelled(wire._judged(value, headers))


@settings(max_examples=100)
@given(st.binary(max_size=40), st.lists(st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=20))))
def test_any_bytes_at_all_get_an_answer(value: bytes, headers: list[tuple[str, bytes | None]]) -> None:
    assert isinstance(decode(value, headers), Refusal)


COMMON = {
    "flat": (structured(), []),
    "named": (
        structured(),
        [("content-type", b"application/cloudevents+json"), ("traceparent", b"00-1-2-3")],
    ),
    "charset": (structured(), [("content-type", b"application/cloudevents+json; charset=UTF-8")]),
    "fraction": (structured(data={"price": 0.0125, "n": -0.0}), []),
    "nested": (structured(data={"usage": {"tokens": [1, 10**30]}}), []),
    "escapes": (structured(data={"quote": '"\\', "word": "é"}), []),
    "unicode": (structured_with('{"word":"é"}'), []),
    "extension": (structured(traceparent="00-1-2-3", sampledrate=5), []),
    "content type": (structured(datacontenttype="application/json"), []),
    "nanoseconds": (structured(time="2026-11-24T03:00:12.345678901Z"), []),
    "offset": (structured(time="2026-11-24T04:00:12.345678+01:00"), []),
    "large": (structured(data={"text": "x" * 10_000}), []),
    "binary": (json.dumps(DATA).encode(), binary()),
}


@pytest.mark.parametrize("kind", COMMON)
def test_common_events_do_not_wait_for_the_authority(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unexpected(*_: object) -> None:
        pytest.fail("the authority was asked")

    monkeypatch.setattr(wire, "judge", unexpected)
    event = decode(*COMMON[kind])
    assert isinstance(event, Event)
    assert event.time_us == TIME_US


def test_an_event_is_read_whole() -> None:
    event = decode(structured(), ())
    assert isinstance(event, Event)
    assert (event.id, event.source, event.type, event.subject) == tuple(
        ATTRIBUTES[name] for name in ("id", "source", "type", "subject")
    )
    assert event.time_us == TIME_US
    assert event.values == DATA
    assert json.loads(bytes(event.data)) == DATA
    assert event.repair is None


@pytest.mark.parametrize(
    ("literal", "number"),
    [
        ("5", 5),
        ("-0", 0),
        ("12345678901234567890123456789012345678", 12345678901234567890123456789012345678),
        ("0.1", Decimal("0.1")),
        ("1.0", Decimal("1.0")),
        ("1e3", Decimal("1E+3")),
        ("0.00000000000000000000000000000000000001", Decimal("1E-38")),
        ("1.2345678901234567890123456789012345678", Decimal("1.2345678901234567890123456789012345678")),
    ],
)
def test_numbers_are_what_their_digits_say(literal: str, number: object) -> None:
    event = decode(structured_with(f'{{"n":{literal}}}'), ())
    assert isinstance(event, Event)
    assert exactly(event.values["n"]) == exactly(number)


def test_the_last_of_equal_keys_counts() -> None:
    value = structured_with('{"n":1,"n":2}').replace(b'{"specversion"', b'{"id":"first","specversion"', 1)
    event = decode(value, ())
    assert isinstance(event, Event)
    assert (event.id, event.values) == (ATTRIBUTES["id"], {"n": 2})


def test_the_same_data_has_the_same_bytes_in_both_modes() -> None:
    data = b'{ "n" : 1.50 }'
    one, other = decode(structured_with(data.decode()), ()), decode(b"\n " + data + b"\t", binary())
    assert isinstance(one, Event)
    assert isinstance(other, Event)
    assert bytes(one.data) == bytes(other.data) == data


@pytest.mark.parametrize("ask", [decode, wire._judged])
def test_the_data_is_kept_as_it_was_sent(ask: Any) -> None:
    event = ask(structured_with('{ "n" : 1.50 }'), ())
    assert bytes(event.data) == b'{ "n" : 1.50 }'


def test_data_whose_place_cannot_be_found_is_the_whole_value() -> None:
    value = structured(extension="\ud83e")
    event = decode(value, ())
    assert isinstance(event, Event)
    assert bytes(event.data) == value


def test_headers_decide_the_mode_whatever_the_value_looks_like() -> None:
    headers = [header for header in binary(id="in headers") if header[0] != "content-type"]
    event = decode(structured(), headers)
    assert isinstance(event, Event)
    assert (event.id, event.values["id"]) == ("in headers", ATTRIBUTES["id"])
    event = decode(structured(), [*headers, ("content-type", b"application/cloudevents+json")])
    assert isinstance(event, Event)
    assert (event.id, event.values) == (ATTRIBUTES["id"], DATA)


@pytest.mark.parametrize("headers", [[], binary()])
@pytest.mark.parametrize("name", ["n\udcfcme", "ce_\udcfc", "n\xfcme"])
def test_the_names_of_headers_are_unicode(headers: Headers, name: str) -> None:
    value = json.dumps(DATA).encode() if headers else structured()
    judged = decode(value, [*headers, (name, b"v")])
    if name == "n\xfcme":
        assert isinstance(judged, Event)
    else:
        assert isinstance(judged, Refusal)
        assert judged.code is Code.BAD_UTF8
        assert "udcfc" in judged.detail
        assert judged.id == (ATTRIBUTES["id"] if headers else None)


@pytest.mark.parametrize("headers", [[], binary()])
def test_a_repair_record_names_its_origin(headers: Headers) -> None:
    origin = RepairOrigin(3, 42, Code.MISPLACED)
    value = json.dumps(DATA).encode() if headers else structured()
    event = decode(value, [*headers, (REPAIR_HEADER, origin.encode())])
    assert isinstance(event, Event)
    assert event.repair == origin


@pytest.mark.parametrize("name", ["id", "source", "type", "subject"])
@pytest.mark.parametrize(("text", "code"), [("a\0", Code.NUL_CHARACTER), ("a\ud83e", Code.BAD_UTF8)])
def test_no_attribute_has_what_cannot_be_stored(name: str, text: str, code: Code) -> None:
    refusal = decode(structured(**{name: text}), ())
    assert isinstance(refusal, Refusal)
    assert refusal.code is code
    assert getattr(refusal, name) is None


@pytest.mark.parametrize("ask", [decode, wire._judged])
def test_extensions_are_ignored_whatever_they_hold(ask: Any) -> None:
    in_value = structured(extension={"text": "a\0\ud83e", "number": 1}).replace(b"1}", b"1e999}")
    assert isinstance(ask(in_value, ()), Event)
    for odd in (b"\xff", b"\0", None):
        in_headers = [*binary(), ("ce_extension", odd), ("other", odd)]
        assert isinstance(ask(json.dumps(DATA).encode(), in_headers), Event)


def test_a_refusal_keeps_what_could_be_read() -> None:
    refusal = decode(structured(id="x" * 257, source="a\0b", subject=5), ())
    assert refusal == Refusal(
        Code.ID_TOO_LONG,
        "id: String should have at most 256 characters",
        type=ATTRIBUTES["type"],
        time_us=TIME_US,
    )


def test_a_refusal_in_binary_mode_keeps_what_its_headers_say() -> None:
    refusal = decode(b"{", binary(time=None))
    assert isinstance(refusal, Refusal)
    assert refusal.code is Code.NOT_JSON
    assert (refusal.id, refusal.subject, refusal.time_us) == (ATTRIBUTES["id"], ATTRIBUTES["subject"], None)


@settings(max_examples=100)
@given(structured_values())
def test_what_a_refusal_says_can_be_stored(value: bytes) -> None:
    refusal = decode(value, ())
    if isinstance(refusal, Refusal):
        for text in (refusal.detail, refusal.id, refusal.source, refusal.type, refusal.subject):
            assert "\0" not in (text or "")
            (text or "").encode()


@pytest.mark.parametrize("ask", [decode, wire._judged])
def test_nesting_does_not_depend_on_the_stack(ask: Any) -> None:
    def deeper(frames: int) -> Event | Refusal:
        return deeper(frames - 1) if frames else ask(structured_with(nested(MAX_NESTING - 1)), ())

    assert isinstance(deeper(0), Event)
    assert isinstance(deeper(400), Event)


@pytest.mark.parametrize("part", [{"n": [1]}, "[[[{{{", '"['])
def test_many_brackets_are_not_deep(part: object) -> None:
    event = decode(structured(data={"parts": [part] * 300}), ())
    assert isinstance(event, Event)
    assert event.values == {"parts": [part] * 300}


@pytest.mark.parametrize(
    "text", [nested(MAX_NESTING + 1), "[" * 300, "[" * 100_000, "[" * 40_000 + "]" * 40_000]
)
def test_what_nests_too_deeply_is_refused_before_it_is_read(text: str) -> None:
    for value in (structured_with(text), text.encode()):
        refusal = decode(value, ())
        assert isinstance(refusal, Refusal)
        assert refusal.code is Code.NESTED_TOO_DEEPLY
