"""The usage event: the one authority on what is valid and what its values are."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from schemas.codes import Code, Refused
from schemas.control_types import RESERVED_PREFIX, TICK_TYPE, VOID_TYPE
from schemas.instant import DATE_TIME_PATTERN, parse_time_us
from schemas.number import exact_number
from schemas.text import storable

MAX_VALUE_BYTES: Final = 262_144
MAX_BESIDE_VALUE_BYTES: Final = 65_536
"""Of a record's key and headers together; see `schemas.binding.headers_bytes`."""

MAX_ID_CHARACTERS: Final = 256
MAX_SOURCE_CHARACTERS: Final = 256
MAX_TYPE_CHARACTERS: Final = 128
MAX_SUBJECT_CHARACTERS: Final = 256

_NAME: Final = "[A-Za-z0-9!#$&^_.+-]+"
JSON_MEDIA_TYPE_PATTERN: Final = rf"^{_NAME}/({_NAME}\+)?[Jj][Ss][Oo][Nn][ \t]*(;.*)?$"
"""How a JSON content type is written: `…/json` or `…+json` (RFC 6839), with any parameters."""

_CONTROL_TYPES: Final = frozenset((TICK_TYPE, VOID_TYPE))
_JSON_MEDIA_TYPE: Final = re.compile(JSON_MEDIA_TYPE_PATTERN)


@dataclass(frozen=True, slots=True)
class NumberLiteral:
    """A JSON number as it is written, for as long as nobody asked what it is."""

    text: str


# The validators raise `Refused`; it is the `error` in the context of pydantic's `value_error`.


def _supported_specversion(text: str) -> str:
    if text != "1.0":
        raise Refused(Code.BAD_SPECVERSION, ascii(text[:100]))
    return text


def _unreserved_type(text: str) -> str:
    if text.startswith(RESERVED_PREFIX) and text not in _CONTROL_TYPES:
        raise Refused(Code.RESERVED_TYPE, ascii(text))
    return text


def _withdrawable_type(text: str) -> str:
    if text.startswith(RESERVED_PREFIX):
        raise Refused(Code.RESERVED_TYPE, f"only a usage event can be withdrawn, not {text!a}")
    return text


def _instant(text: str) -> str:
    parse_time_us(text)
    return text


def _json_media_type(text: str | None) -> str | None:
    if text is not None and _JSON_MEDIA_TYPE.fullmatch(text) is None:
        raise Refused(Code.BAD_CONTENT_TYPE, ascii(text[:100]))
    return text


def _exact(value: object) -> object:
    """The value with every number exact and every text fit to be stored."""
    match value:
        case None | bool():
            return value
        case str():
            return storable(value)
        case NumberLiteral(text):
            return exact_number(text)
        case int() | float() | Decimal():
            return exact_number(str(value))  # of a float, the digits that its JSON would have
        case dict():
            exact = {}
            for name, item in value.items():  # a comprehension would take a second frame for each level
                exact[storable(name)] = _exact(item)
            return exact
        case list() | tuple():
            return list(map(_exact, value))
        case _:
            raise Refused(Code.DATA_NOT_OBJECT, f"{type(value).__name__} has no form in JSON")


def _text(max_characters: int) -> Any:  # noqa: ANN401 - an annotation for pydantic
    return Field(min_length=1, max_length=max_characters)


Id: TypeAlias = Annotated[str, _text(MAX_ID_CHARACTERS), AfterValidator(storable)]
Source: TypeAlias = Annotated[str, _text(MAX_SOURCE_CHARACTERS), AfterValidator(storable)]
Type: TypeAlias = Annotated[str, _text(MAX_TYPE_CHARACTERS), AfterValidator(storable)]
Subject: TypeAlias = Annotated[str, _text(MAX_SUBJECT_CHARACTERS), AfterValidator(storable)]
Time: TypeAlias = Annotated[
    str,
    AfterValidator(_instant),
    Field(json_schema_extra={"format": "date-time", "pattern": DATE_TIME_PATTERN}),
]


class Withdrawn(BaseModel):
    """The data of a void: the event that it withdraws, as it was published, of the void's own subject."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    source: Source
    id: Id
    type: Annotated[Type, AfterValidator(_withdrawable_type)] = Field(
        json_schema_extra={"pattern": rf"^(?!{re.escape(RESERVED_PREFIX)})"}
    )
    time: Time
    data: dict[str, Any] = Field(description="The same bytes as in the event.")

    @property
    def time_us(self) -> int:
        """Microseconds since the epoch."""
        return parse_time_us(self.time)


class UsageEvent(BaseModel):
    """A CloudEvent 1.0 that says what a subject used, and when; or a control event.

    Extension attributes are allowed and ignored.
    Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    specversion: Annotated[str, AfterValidator(_supported_specversion)] = Field(
        description="The version of CloudEvents.", json_schema_extra={"const": "1.0"}
    )
    id: Id = Field(description="Names the event among those of its source, for ever: a retry keeps it.")
    source: Source = Field(description="The service that sends the event.")
    type: Annotated[Type, AfterValidator(_unreserved_type)] = Field(
        description="The kind of usage, which meters refer to.",
        json_schema_extra={"pattern": rf"^(?!{re.escape(RESERVED_PREFIX)}(?!(tick|void)$))"},
    )
    subject: Subject = Field(description="Whose usage it is; the record's key too.")
    time: Time = Field(
        description="When the usage was (RFC 3339, with a zone); what is beyond microseconds is cut."
    )
    datacontenttype: Annotated[str | None, AfterValidator(_json_media_type)] = Field(
        None,
        description="A JSON content type.",
        json_schema_extra={"pattern": JSON_MEDIA_TYPE_PATTERN},
    )
    data: Annotated[dict[str, Any], AfterValidator(_exact)] = Field(
        description="What was used. Numbers have at most 38 significant digits, between 10^38 and 10^-38; "
        "write those that a double cannot hold as texts if your JSON library would round them."
    )

    def withdrawn(self) -> Withdrawn | None:
        """The event that this one withdraws, if it is a void.

        Raises:
            pydantic.ValidationError: it is a void, but names no event.
        """
        if self.type != VOID_TYPE:
            return None
        return Withdrawn.model_validate({name: item for name, item in self.data.items() if item is not None})

    @property
    def time_us(self) -> int:
        """Microseconds since the epoch."""
        return parse_time_us(self.time)
