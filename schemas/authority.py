"""Judging a Kafka record by the model: complete, and worded for people."""

from collections.abc import Mapping

from pydantic import ValidationError

from schemas.binding import Headers, content_mode
from schemas.codes import Code, Refused
from schemas.event import MAX_VALUE_BYTES, UsageEvent, refusal_code
from schemas.json_text import read_json
from schemas.repair import repair_origin


class EventRefused(Refused):
    """A record without a valid usage event; `attributes` is what could be read of it, as it was read."""

    def __init__(self, code: Code, detail: str, attributes: Mapping[str, object]) -> None:
        super().__init__(code, detail)
        self.attributes = attributes


def judge(value: bytes | None, headers: Headers) -> UsageEvent:
    """The usage event in a Kafka record.

    Raises:
        EventRefused: there is none.
    """
    document: dict[str, object] = {}
    try:
        _read(value, headers, document)
        # CloudEvents' JSON format: an attribute that is null is an attribute that is not there.
        return UsageEvent.model_validate({name: item for name, item in document.items() if item is not None})
    except ValidationError as invalid:
        first = invalid.errors(include_url=False, include_input=False)[0]
        detail = f"{first['loc'][0]}: {first['msg']}"
        raise EventRefused(refusal_code(first), detail, document) from None
    except Refused as refused:
        raise EventRefused(refused.code, refused.detail, document) from None


def _read(value: bytes | None, headers: Headers, document: dict[str, object]) -> None:
    """Reads the attributes and the data into `document`, as far as it gets."""
    mode = content_mode(headers)
    if mode.attributes is not None:
        for name, header in mode.attributes.items():
            if name in UsageEvent.model_fields:
                document[name] = _text(header)
        document["datacontenttype"] = None if mode.content_type is None else _text(mode.content_type)
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


def _text(encoded: bytes) -> str:
    try:
        return encoded.decode()
    except UnicodeDecodeError as error:
        raise Refused(Code.BAD_UTF8, f"{error.reason} at byte {error.start}") from None
