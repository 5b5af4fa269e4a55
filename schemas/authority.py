"""Judging a Kafka record by the model: complete, and worded for people."""

from collections.abc import Mapping
from typing import TypedDict

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.binding import Headers, content_mode, is_unicode
from schemas.codes import Code, Refused
from schemas.event import (
    MAX_ID_CHARACTERS,
    MAX_SOURCE_CHARACTERS,
    MAX_SUBJECT_CHARACTERS,
    MAX_TYPE_CHARACTERS,
    MAX_VALUE_BYTES,
    UsageEvent,
)
from schemas.instant import TimeRefused, parse_time_us
from schemas.json_text import read_json
from schemas.repair import repair_origin
from schemas.text import storable


class EventRefused(Refused):
    """A record without a valid usage event; `attributes` is what could be read of it, as it was read."""

    def __init__(self, code: Code, detail: str, attributes: Mapping[str, object]) -> None:
        super().__init__(code, detail)
        self.attributes = attributes


class ReadableAttributes(TypedDict):
    """What could be read of a refused event and is fit to be stored."""

    id: str | None
    source: str | None
    type: str | None
    subject: str | None
    time_us: int | None


def readable_attributes(attributes: Mapping[str, object]) -> ReadableAttributes:
    """The attributes that are as they should be, each judged by itself."""
    return ReadableAttributes(
        id=_readable(attributes.get("id"), MAX_ID_CHARACTERS),
        source=_readable(attributes.get("source"), MAX_SOURCE_CHARACTERS),
        type=_readable(attributes.get("type"), MAX_TYPE_CHARACTERS),
        subject=_readable(attributes.get("subject"), MAX_SUBJECT_CHARACTERS),
        time_us=_readable_time_us(attributes.get("time")),
    )


def _readable(text: object, max_characters: int) -> str | None:
    if not isinstance(text, str) or not 0 < len(text) <= max_characters:
        return None
    try:
        return storable(text)
    except Refused:
        return None


def _readable_time_us(text: object) -> int | None:
    try:
        return parse_time_us(text) if isinstance(text, str) else None
    except TimeRefused:
        return None


def judge(value: bytes | None, headers: Headers) -> UsageEvent:
    """The usage event in a Kafka record.

    Raises:
        EventRefused: there is none.
    """
    document: dict[str, object] = {}
    try:
        _read(value, headers, document)
        # CloudEvents' JSON format: an attribute that is null is an attribute that is not there.
        event = UsageEvent.model_validate({name: item for name, item in document.items() if item is not None})
    except ValidationError as invalid:
        raise EventRefused(*_first_explained(invalid), document) from None
    except Refused as refused:
        raise EventRefused(refused.code, refused.detail, document) from None
    try:
        event.withdrawn()
    except ValidationError as invalid:
        code, detail = _first_explained(invalid)
        raise EventRefused(code, f"data.{detail}", document) from None
    return event


def _first_explained(invalid: ValidationError) -> tuple[Code, str]:
    return _explain(invalid.errors(include_url=False, include_input=False)[0])


def _read(value: bytes | None, headers: Headers, document: dict[str, object]) -> None:
    """Reads the attributes and the data into `document`, as far as it gets."""
    mode = content_mode(headers)
    if mode.attributes is not None:
        for name, header in mode.attributes.items():
            if name in UsageEvent.model_fields:
                document[name] = _text(header)
        document["datacontenttype"] = None if mode.content_type is None else _text(mode.content_type)
    if mode.has_broken_names:
        broken = [name for name, _ in headers if not is_unicode(name)]
        raise Refused(Code.BAD_UTF8, f"headers are named {ascii(broken)[:200]}")
    repair_origin(headers)
    if mode.is_unknown_format:
        raise Refused(Code.BAD_CONTENT_TYPE, ascii(mode.content_type))
    if value is None:
        raise Refused(Code.NO_VALUE, "the value is null")
    if len(value) > MAX_VALUE_BYTES:
        raise Refused(Code.OVERSIZE, f"{len(value)} bytes")
    content = read_json(_text(value))
    if mode.attributes is not None:
        document["data"] = content
    elif isinstance(content, dict):
        document.update(content)
    else:
        raise Refused(Code.NOT_AN_OBJECT, f"a JSON {type(content).__name__}")


def _explain(error: ErrorDetails) -> tuple[Code, str]:
    """The code and wording of what pydantic found wrong with an event."""
    field, detail = error["loc"][0], error["msg"]
    match error["type"]:
        case "value_error":
            refused: Refused = error["ctx"]["error"]
            code, detail = refused.code, refused.detail
        case "missing" if field == "data":
            code = Code.DATA_NOT_OBJECT
        case "missing":
            code = Code.MISSING_ATTRIBUTE
        case "dict_type":
            code = Code.DATA_NOT_OBJECT
        case "string_type":
            code = Code.BAD_ATTRIBUTE
        case "string_unicode":
            code = Code.BAD_UTF8
        case "string_too_short":
            code = Code(f"empty_{field}")
        case "string_too_long":
            code = Code(f"{field}_too_long")
        case unforeseen:
            raise AssertionError(unforeseen)
    return code, f"{field}: {detail}"


def _text(encoded: bytes) -> str:
    try:
        return encoded.decode()
    except UnicodeDecodeError as error:
        raise Refused(Code.BAD_UTF8, f"{error.reason} at byte {error.start}") from None
