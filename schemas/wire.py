"""Decoding Kafka records into the values that the decisions read."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from schemas.authority import EventRefused, judge
from schemas.codes import Code
from schemas.event import (
    MAX_ID_CHARACTERS,
    MAX_SOURCE_CHARACTERS,
    MAX_SUBJECT_CHARACTERS,
    MAX_TYPE_CHARACTERS,
)
from schemas.instant import TimeRefused, parse_time_us
from schemas.repair import RepairOrigin, repair_origin


class Event(msgspec.Struct, gc=False):
    """One valid usage event.

    `values` is its data: texts, booleans, nulls, numbers as int or Decimal of the literal's digits, and
    dicts and lists of these. `data` is the data's JSON as it was sent (a buffer), for the digest. `repair` is
    set on a repair record: where the event was refused first.
    """

    id: str
    source: str
    type: str
    subject: str
    time_us: int
    values: dict[str, Any]
    data: msgspec.Raw
    repair: RepairOrigin | None = None


class Refusal(NamedTuple):
    """Why a record is no valid event, and what of it could be read and is fit to be stored."""

    code: Code
    detail: str
    id: str | None = None
    source: str | None = None
    type: str | None = None
    subject: str | None = None
    time_us: int | None = None


def decode(value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> Event | Refusal:
    """The event in a Kafka record, in structured or binary content mode, or the reason why there is none."""
    if value is None:
        return _refusal(EventRefused(Code.NO_VALUE, "", {}))
    try:
        usage = judge(value, headers)
    except EventRefused as refused:
        return _refusal(refused)
    return Event(
        usage.id,
        usage.source,
        usage.type,
        usage.subject,
        usage.time_us,
        usage.data,
        _data(value),
        repair_origin(headers),
    )


class _Data(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw()


def _data(value: bytes) -> msgspec.Raw:
    return msgspec.json.decode(value, type=_Data).data


def _refusal(refused: EventRefused) -> Refusal:
    attributes = refused.attributes
    return Refusal(
        refused.code,
        refused.detail,
        id=_readable(attributes, "id", MAX_ID_CHARACTERS),
        source=_readable(attributes, "source", MAX_SOURCE_CHARACTERS),
        type=_readable(attributes, "type", MAX_TYPE_CHARACTERS),
        subject=_readable(attributes, "subject", MAX_SUBJECT_CHARACTERS),
        time_us=_readable_time_us(attributes),
    )


def _readable(attributes: Mapping[str, object], name: str, max_characters: int) -> str | None:
    text = attributes.get(name)
    if isinstance(text, str) and 0 < len(text) <= max_characters and "\0" not in text:
        return text if text.encode(errors="replace").decode() == text else None
    return None


def _readable_time_us(attributes: Mapping[str, object]) -> int | None:
    text = attributes.get("time")
    try:
        return parse_time_us(text) if isinstance(text, str) else None
    except TimeRefused:
        return None
