"""Decoding Kafka records into the values that the decisions read.

Every record passes here, so common events take a shortcut through msgspec. It accepts only what the authority
accepts, with equal values; whatever it is not sure of, the authority judges and words.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta

from schemas.authority import EventRefused, judge, readable_attributes
from schemas.binding import (
    BINARY_MEDIA_TYPE,
    USUAL_HEADERS,
    ContentMode,
    Headers,
    content_mode,
    is_plainly_structured,
)
from schemas.codes import Code, Refused
from schemas.control_types import RESERVED_PREFIX, TICK_TYPE, VOID_TYPE
from schemas.event import (
    MAX_ID_CHARACTERS,
    MAX_SOURCE_CHARACTERS,
    MAX_SUBJECT_CHARACTERS,
    MAX_TYPE_CHARACTERS,
    MAX_VALUE_BYTES,
    UsageEvent,
)
from schemas.instant import times_us
from schemas.json_text import MAX_NESTING, SURELY_SHALLOW
from schemas.repair import RepairOrigin, repair_origin
from schemas.values import read_flat, read_nested

JsonContentType: TypeAlias = Literal[
    "application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"
]

_BACKSLASH: Final = ord("\\")
_RESERVED_CHARACTERS: Final = len(RESERVED_PREFIX)
_JSON_SPACE: Final = b" \t\r\n"


class _Uncommon(Exception):  # noqa: N818 - nothing is wrong; the authority will look
    """The shortcut does not know such records."""


class Void(NamedTuple):
    """What a void says of itself; the rest of it is the event that it withdraws."""

    id: str
    source: str
    time_us: int


class Event(msgspec.Struct, gc=False):
    """One valid event.

    `values` is its data: texts, booleans, nulls, numbers as int or Decimal of the literal's digits, and
    dicts and lists of these. `data` is the data's JSON as it was sent (a buffer), for the digest. `repair` is
    set on a repair record: where the event was refused first. `control` is set on a control event; of a void
    all else is that of the event which it withdraws.
    """

    id: str
    source: str
    type: str
    subject: str
    time_us: int
    values: dict[str, Any]
    data: msgspec.Raw
    repair: RepairOrigin | None = None
    control: Literal["tick"] | Void | None = None


class Refusal(NamedTuple):
    """Why a record is no valid event, and what of it could be read and is fit to be stored."""

    code: Code
    detail: str
    id: str | None = None
    source: str | None = None
    type: str | None = None
    subject: str | None = None
    time_us: int | None = None


def too_large(event: Event | Refusal, beside_value_bytes: int) -> Refusal:
    """The refusal of a record whose key and headers are longer than they may be together."""
    return Refusal(
        Code.OVERSIZE,
        f"{beside_value_bytes} bytes of key and headers",
        event.id,
        event.source,
        event.type,
        event.subject,
        event.time_us,
    )


class _Attributes(msgspec.Struct, gc=False, kw_only=True):
    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARACTERS)]
    source: Annotated[str, Meta(min_length=1, max_length=MAX_SOURCE_CHARACTERS)]
    type: Annotated[str, Meta(min_length=1, max_length=MAX_TYPE_CHARACTERS)]
    subject: Annotated[str, Meta(min_length=1, max_length=MAX_SUBJECT_CHARACTERS)]
    time: str
    datacontenttype: JsonContentType | None = None


class _Envelope(_Attributes, gc=False, kw_only=True):
    data: msgspec.Raw


class _Data(msgspec.Struct, gc=False):
    data: msgspec.Raw


class _VoidEnvelope(msgspec.Struct, gc=False):
    data: _Data


_read_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_read_data: Final = msgspec.json.Decoder(_Data).decode
_read_void: Final = msgspec.json.Decoder(_VoidEnvelope).decode


def decode(value: bytes | None, headers: Headers) -> Event | Refusal:
    """The event in a Kafka record, in structured or binary content mode, or the reason why there is none."""
    (decoded,) = decode_all([value], [headers])
    return decoded


def decode_all(values: Sequence[bytes | None], headers: Sequence[Headers]) -> list[Event | Refusal]:
    """As `decode` each; reading their times together is much quicker."""
    texts: list[str] = []
    events = [
        _shortcut(value, its_headers, texts) for value, its_headers in zip(values, headers, strict=True)
    ]
    times = iter(times_us(texts))
    decoded: list[Event | Refusal] = []
    for event, value, its_headers in zip(events, values, headers, strict=True):
        if event is None or (time_us := next(times)) is None:
            decoded.append(_judged(value, its_headers))
        else:
            event.time_us = time_us
            decoded.append(event)
    return decoded


def _shortcut(value: bytes | None, headers: Headers, texts: list[str]) -> Event | None:
    """A common event but for its time, whose text is added to `texts`; None: the authority is to look."""
    if value is None or (len(value) > SURELY_SHALLOW and _is_large_or_deep(value)):
        return None
    if _BACKSLASH in value and b"\\u0000" in value:
        return None
    attributes: _Attributes
    try:
        if not value.isascii():
            value.decode()
        if headers == USUAL_HEADERS or not headers or is_plainly_structured(headers):
            attributes = envelope = _read_envelope(value)
            data = envelope.data
        else:
            attributes, data = _read_binary(value, content_mode(headers))
        try:
            values = read_flat(data)
        except msgspec.ValidationError:
            values = read_nested(data)
    except (_Uncommon, msgspec.DecodeError, UnicodeDecodeError, Refused):
        return None
    event_type = attributes.type
    if event_type[:_RESERVED_CHARACTERS] == RESERVED_PREFIX:
        return None
    texts.append(attributes.time)
    return Event(attributes.id, attributes.source, event_type, attributes.subject, 0, values, data)


def _is_large_or_deep(value: bytes) -> bool:
    """Whether the value is too long, or has brackets enough to nest too deeply."""
    return len(value) > MAX_VALUE_BYTES or value.count(b"{") + value.count(b"[") > MAX_NESTING


def _read_binary(value: bytes, mode: ContentMode) -> tuple[_Attributes, msgspec.Raw]:
    """The attributes and data of a live event in binary mode."""
    if mode.attributes is None or mode.is_repair or mode.has_broken_names:
        raise _Uncommon
    attributes = {name: header.decode() for name, header in mode.attributes.items() if 0 not in header}
    content_type = mode.content_type
    attributes["datacontenttype"] = BINARY_MEDIA_TYPE if content_type is None else content_type.decode()
    return msgspec.convert(attributes, _Attributes), msgspec.Raw(value.strip(_JSON_SPACE))


def _judged(value: bytes | None, headers: Headers) -> Event | Refusal:
    try:
        usage = judge(value, headers)
        repair = repair_origin(headers)
    except EventRefused as refused:
        return Refusal(refused.code, refused.detail, **readable_attributes(refused.attributes))
    withdrawn = usage.withdrawn()
    event = usage if withdrawn is None else withdrawn
    return Event(
        event.id,
        event.source,
        event.type,
        usage.subject,
        event.time_us,
        event.data,
        _data_as_sent(value or b"", content_mode(headers), is_void=withdrawn is not None),
        repair,
        _control(usage),
    )


def _control(usage: UsageEvent) -> Literal["tick"] | Void | None:
    if usage.type == TICK_TYPE:
        return "tick"
    return Void(usage.id, usage.source, usage.time_us) if usage.type == VOID_TYPE else None


def _data_as_sent(value: bytes, mode: ContentMode, *, is_void: bool) -> msgspec.Raw:
    """The bytes of the data, the same as the shortcut would take; of a void those of its event."""
    try:
        if mode.attributes is not None:
            return _read_data(value).data if is_void else msgspec.Raw(value.strip(_JSON_SPACE))
        return _read_void(value).data.data if is_void else _read_data(value).data
    except msgspec.DecodeError:  # half a surrogate pair in an attribute that nobody reads
        return msgspec.Raw(value)
