"""Records as products send them and as nobody should: valid, mutated and arbitrary."""

import json
from collections.abc import Sequence
from typing import Any, Final

from hypothesis import strategies as st

ATTRIBUTES: Final[dict[str, str]] = {
    "specversion": "1.0",
    "id": "9f0c2a34-6a0e-4a40",
    "source": "/inference/gateway-3",
    "type": "llm.completion",
    "subject": "customer-00421",
    "time": "2026-11-24T03:00:12.345678Z",
}
DATA: Final[dict[str, Any]] = {"model": "large", "tokens": 1523, "cached": False, "region": None}

Headers = list[tuple[str, bytes]]


def structured(*, data: object = DATA, **attributes: object) -> bytes:
    """A structured value; an attribute given as None is left out."""
    document = {**ATTRIBUTES, **attributes, "data": data}
    return json.dumps({name: item for name, item in document.items() if item is not None}).encode()


def structured_with(data_text: str) -> bytes:
    """A structured value with a data text as it is written here."""
    return b'%s,"data":%s}' % (json.dumps(ATTRIBUTES).encode()[:-1], data_text.encode())


def binary(**attributes: str | None) -> Headers:
    """The headers of binary mode; an attribute given as None is left out."""
    merged = {**ATTRIBUTES, **attributes}
    headers = [(f"ce_{name}", text.encode()) for name, text in merged.items() if text is not None]
    return [*headers, ("content-type", b"application/json")]


# JSON as text, so that spelling, order and repetition are under test too. What is surely refused is rare, so
# that most records get far.


def mostly(sound: st.SearchStrategy[str], odd: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Sound texts, and one in sixteen odd."""
    return st.integers(0, 15).flatmap(lambda n: sound if n else odd)


_SPACE = st.sampled_from(["", "", "", " ", "\n\t "])
_texts = st.text(st.sampled_from("ab z09.:{}[],'é😀\ufeff\u2028\x7f"), max_size=6) | st.text(max_size=5)
_escaped_texts = st.lists(
    st.sampled_from(["\\u0041", "\\ud83d\\ude00", "\\n", "\\/", '\\"', "\\\\u0000"])
).map("".join)
_odd_texts = st.sampled_from(
    ["\\u0000", "\\ud800", "\\udc00\\ud800", "\\x", "\\", '"', "\x00", "\x01", "\ud800"]
)
string_texts = mostly(_texts.map(lambda t: json.dumps(t)[1:-1]) | _texts | _escaped_texts, _odd_texts).map(
    '"{}"'.format
)

_EDGES = [10**n + d for n in (18, 19, 20, 37) for d in (-1, 0, 1)] + [
    2**n + d for n in (31, 53, 63, 64) for d in (-1, 0)
]
_sound_numbers = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1).map(str),
    st.integers(-1000, 1000).map(str),
    st.sampled_from(_EDGES).map(str) | st.sampled_from(_EDGES).map(lambda n: str(-n)),
    st.from_regex(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,18}([eE][+-]?[0-9])?", fullmatch=True),
    st.sampled_from(["-0", "-0.0", "0e0", "1e38", "1e-38", "1E0000000000000000001", "0." + "0" * 38]),
)
_odd_numbers = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(
        ["0E+99", "1e39", "1e-39", str(10**38), "1e999999999999999999999", "0." + "0" * 39, "9" * 5000]
    ),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "1e", "0x1", "1_0", "--1", "-"]),
)
number_texts = mostly(_sound_numbers, _odd_numbers)
_scalar_texts = mostly(
    number_texts | string_texts | st.sampled_from(["true", "false", "null"]),
    st.sampled_from(["True", "nul", "", "{", "[1,]", '{"a":1,}']),
)


def _containers(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arrays = st.lists(items, max_size=3).map(lambda texts: f"[{','.join(texts)}]")
    return arrays | objects(items)


def objects(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Objects; few key names, so that some come twice."""
    keys = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"é"']) | string_texts
    members = st.tuples(keys, _SPACE, items).map(lambda m: f"{m[0]}{m[1]}:{m[2]}")
    return st.tuples(_SPACE, st.lists(members, max_size=4), _SPACE).map(
        lambda o: f"{{{o[0]}{','.join(o[1])}{o[2]}}}"
    )


_deep_texts = st.integers(1, 3000).map(lambda depth: "[" * depth + "]" * depth) | st.integers(250, 260).map(
    lambda depth: '{"a":' * depth + "1" + "}" * depth
)
json_texts = st.recursive(_scalar_texts, _containers, max_leaves=6)
data_texts = objects(st.recursive(_scalar_texts, _containers, max_leaves=4))

time_texts = mostly(
    st.datetimes().map(lambda t: t.isoformat() + "Z")
    | st.from_regex(
        r"(2026|9998|1969)-(11-24|12-31|01-01)[Tt](03|00|23):(00|59):(12|59)(\.[0-9]{1,10})?([Zz]|[+-](00:00|23:59))",
        fullmatch=True,
    ),
    st.from_regex(
        r"(2026|0000|0001|9999)-(02-29|02-30|12-31|01-01|13-01)[T ](03|23|24):(00|60):(12|60)"
        r"(\.[0-9]{0,10})?(Z|[+-](00:00|01:00|23:59|24:00|0100|01)|)",
        fullmatch=True,
    )
    | st.sampled_from(
        ["2026-W48-2T03:00:00Z", "20261124T030000Z", "2026-11-24", "", "2026-11-24T03:00:00,5Z"]
    )
    | st.sampled_from(["2026-11-24T03:00:1٢Z", "2026-11-24T03:00:12.٣Z", " 2026-11-24T03:00:12Z", "x" * 300]),
)

_attribute_texts = st.one_of(
    json_texts,
    time_texts.map(json.dumps),
    st.sampled_from(["", "x" * 128, "x" * 129, "é" * 256, "é" * 257, "1.0", "metering.control.tick"])
    .map(json.dumps)
    .map(str),
    st.sampled_from(['"metering.control.other"', '"application/json"', '"text/xml"', '"a/b+json; x=y"']),
)


@st.composite
def structured_values(draw: st.DrawFn) -> bytes:
    """A structured event with anything wrong in it, or nothing."""
    members = [(json.dumps(name), json.dumps(text)) for name, text in ATTRIBUTES.items()]
    members[5] = ('"time"', draw(st.just(members[5][1]) | time_texts.map(json.dumps)))
    members.append(('"data"', draw(mostly(data_texts, json_texts))))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        place = draw(st.integers(0, len(members) - 1))
        match draw(st.sampled_from(["drop", "replace", "repeat", "extend", "move"])):
            case "drop":
                del members[place]
            case "replace":
                members[place] = (members[place][0], draw(_attribute_texts))
            case "repeat":
                members.insert(
                    draw(st.integers(0, len(members))), (members[place][0], draw(_attribute_texts))
                )
            case "extend":
                name = draw(
                    st.sampled_from(['"traceparent"', '"time_us"', '"values"', '"datacontenttype"', '"ID"'])
                )
                members.insert(place, (name, draw(_attribute_texts | _deep_texts)))
            case _:
                members.append(members.pop(place))
    space = draw(_SPACE)
    text = "{" + f",{space}".join(f"{name}{space}:{item}" for name, item in members) + "}"
    return _damaged(draw, (draw(_SPACE) + text + draw(_SPACE)).encode("utf-8", "surrogatepass"))


def _damaged(draw: st.DrawFn, value: bytes) -> bytes:
    kind = draw(mostly(st.just("sound"), st.sampled_from(["byte", "cut", "before", "after"])))
    place = draw(st.integers(0, len(value)))
    garbage = draw(
        st.sampled_from([b"\xff", b"\x00", b"\xed\xa0\x80", b"\xc0\x80", b"\xef\xbb\xbf", b"}", b" x", b'"'])
    )
    match kind:
        case "byte":
            return value[:place] + garbage + value[place:]
        case "cut":
            return value[:place]
        case "before":
            return garbage + value
        case "after":
            return value + garbage
    return value


@st.composite
def binary_records(draw: st.DrawFn) -> tuple[bytes, list[tuple[str, bytes | None]]]:
    """An event in binary mode with anything wrong in it, or nothing."""
    headers: list[tuple[str, bytes | None]] = [(name, text) for name, text in binary()]
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        place = draw(st.integers(0, len(headers) - 1))
        odd = draw(
            st.sampled_from(
                [None, b"", b"\xff", b"a\x00b", b"1.0", b"%41", b"text/plain", "é".encode(), b"x" * 257]
            )
            | time_texts.map(lambda t: t.encode("utf-8", "surrogatepass"))
        )
        match draw(st.sampled_from(["drop", "replace", "repeat", "extend"])):
            case "drop" if len(headers) > 1:
                del headers[place]
            case "replace":
                headers[place] = (headers[place][0], odd)
            case "repeat":
                headers.append((headers[place][0], odd))
            case _:
                name = draw(st.sampled_from(["ce_data", "ce_datacontenttype", "ce_", "CE_ID", "traceparent"]))
                headers.insert(place, (name, odd))
    value = draw(mostly(data_texts, json_texts)).encode("utf-8", "surrogatepass")
    return _damaged(draw, draw(_SPACE).encode() + value), headers


def exactly(value: object) -> object:
    """A value that equals another only if types and digits do too."""
    if isinstance(value, dict):
        return [(name, exactly(item)) for name, item in value.items()]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [exactly(item) for item in value]
    return type(value).__name__, str(value)
