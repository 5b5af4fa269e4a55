"""The usage event: the one authority on what is valid and what its values are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, TypedDict

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import ErrorDetails, PydanticCustomError

from schemas.codes import Code, Refused
from schemas.control import RESERVED_PREFIX, TICK_TYPE
from schemas.instant import DATE_TIME_PATTERN, TimeRefused, parse_time_us
from schemas.number import NumberRefused, exact_number

MAX_VALUE_BYTES: Final = 262_144
MAX_ID_CHARACTERS: Final = 256
MAX_SOURCE_CHARACTERS: Final = 256
MAX_TYPE_CHARACTERS: Final = 128
MAX_SUBJECT_CHARACTERS: Final = 256

_NAME: Final = "[A-Za-z0-9!#$&^_.+-]+"
JSON_MEDIA_TYPE_PATTERN: Final = rf"^{_NAME}/({_NAME}\+)?[Jj][Ss][Oo][Nn][ \t]*(;.*)?$"
"""How a JSON content type is written: `…/json` or `…+json` (RFC 6839), with any parameters."""

_JSON_MEDIA_TYPE: Final = re.compile(JSON_MEDIA_TYPE_PATTERN)


@dataclass(frozen=True, slots=True)
class NumberLiteral:
    """A JSON number as it is written, for as long as nobody asked what it is."""

    text: str


def refusal_code(error: ErrorDetails) -> Code:
    """The code of what pydantic found wrong with a usage event."""
    field = str(error["loc"][0])
    match error["type"]:
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
        case own:  # our own validators name their errors by code
            code = Code(own)
    return code


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
        return _storable(text)
    except PydanticCustomError:
        return None


def _readable_time_us(text: object) -> int | None:
    try:
        return parse_time_us(text) if isinstance(text, str) else None
    except TimeRefused:
        return None


def _refusal(refused: Refused) -> PydanticCustomError:
    return PydanticCustomError(refused.code.value, "{detail}", {"detail": refused.detail})


def _storable(text: str) -> str:
    if "\0" in text:
        raise _refusal(Refused(Code.NUL_CHARACTER, ascii(text[:100])))
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _refusal(Refused(Code.BAD_UTF8, ascii(text[:100]))) from None
    return text


def _supported_specversion(text: str) -> str:
    if text != "1.0":
        raise _refusal(Refused(Code.BAD_SPECVERSION, ascii(text[:100])))
    return text


def _unreserved_type(text: str) -> str:
    if text.startswith(RESERVED_PREFIX) and text != TICK_TYPE:
        raise _refusal(Refused(Code.RESERVED_TYPE, ascii(text)))
    return text


def _instant(text: str) -> str:
    try:
        parse_time_us(text)
    except TimeRefused as refused:
        raise _refusal(refused) from None
    return text


def _json_media_type(text: str | None) -> str | None:
    if text is not None and _JSON_MEDIA_TYPE.fullmatch(text) is None:
        raise _refusal(Refused(Code.BAD_CONTENT_TYPE, ascii(text[:100])))
    return text


def _exact_number(text: str) -> int | Decimal:
    try:
        return exact_number(text)
    except NumberRefused as refused:
        raise _refusal(refused) from None


def _exact(value: object) -> object:
    match value:
        case None | bool():
            return value
        case str():
            return _storable(value)
        case NumberLiteral(text):
            return _exact_number(text)
        case int() | float() | Decimal():
            return _exact_number(str(value))  # of a float, the digits that its JSON would have
        case dict():
            return {_storable(name): _exact(item) for name, item in value.items()}
        case list() | tuple():
            return [_exact(item) for item in value]
        case _:
            raise _refusal(Refused(Code.DATA_NOT_OBJECT, f"{type(value).__name__} has no form in JSON"))


def _exact_data(data: dict[str, Any]) -> dict[str, Any]:
    return {_storable(name): _exact(item) for name, item in data.items()}


def _text(max_characters: int) -> Any:  # noqa: ANN401 - an annotation for pydantic
    return Field(min_length=1, max_length=max_characters)


class UsageEvent(BaseModel):
    """A CloudEvent 1.0 that says what a subject used, and when.

    Extension attributes are allowed and ignored.
    Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    specversion: Annotated[str, AfterValidator(_supported_specversion)] = Field(
        description="The version of CloudEvents.", json_schema_extra={"const": "1.0"}
    )
    id: Annotated[str, _text(MAX_ID_CHARACTERS), AfterValidator(_storable)] = Field(
        description="Names the event among those of its source, for ever: a retry keeps it."
    )
    source: Annotated[str, _text(MAX_SOURCE_CHARACTERS), AfterValidator(_storable)] = Field(
        description="The service that sends the event."
    )
    type: Annotated[
        str, _text(MAX_TYPE_CHARACTERS), AfterValidator(_storable), AfterValidator(_unreserved_type)
    ] = Field(
        description="The kind of usage, which meters refer to.",
        json_schema_extra={"pattern": rf"^(?!{re.escape(RESERVED_PREFIX)}(?!tick$))"},
    )
    subject: Annotated[str, _text(MAX_SUBJECT_CHARACTERS), AfterValidator(_storable)] = Field(
        description="Whose usage it is; the record's key too."
    )
    time: Annotated[str, AfterValidator(_instant)] = Field(
        description="When the usage was (RFC 3339, with a zone); what is beyond microseconds is cut.",
        json_schema_extra={"format": "date-time", "pattern": DATE_TIME_PATTERN},
    )
    datacontenttype: Annotated[str | None, AfterValidator(_json_media_type)] = Field(
        None,
        description="A JSON content type.",
        json_schema_extra={"pattern": JSON_MEDIA_TYPE_PATTERN},
    )
    data: Annotated[dict[str, Any], AfterValidator(_exact_data)] = Field(
        description="What was used. Numbers have at most 38 significant digits, between 10^38 and 10^-38; "
        "write those that a double cannot hold as texts if your JSON library would round them."
    )

    @property
    def time_us(self) -> int:
        """Microseconds since the epoch."""
        return parse_time_us(self.time)
