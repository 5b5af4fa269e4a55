"""Parameters that several resources have."""

from typing import Annotated, Final

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from metering.api.cursors import MAX_CHARACTERS
from schemas.codes import Refused
from schemas.instant import format_time, parse_time_us

MAX_LIMIT: Final = 1000
_EXAMPLE: Final = "2026-11-24T03:00:00Z"


def _instant(text: str) -> str:
    try:
        parse_time_us(text)
    except Refused as refused:
        raise PydanticCustomError(
            refused.code.value, "write an instant such as {example}", {"example": _EXAMPLE}
        ) from None
    return text


Instant = Annotated[
    str,
    AfterValidator(_instant),
    Field(max_length=64),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An RFC 3339 date-time with a zone."""

TimeText = Annotated[
    int,
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
"""Microseconds since the epoch, told as an RFC 3339 text in UTC."""

Storable = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00]+$")]
"""A name that can be in the database; whether it is there is another matter."""


NameInPath = Annotated[str, Path(max_length=256, description="Its name.")]
"""The name of a plan or a subscription."""


class Parameters(BaseModel):
    """Query parameters; one that nobody knows is refused: most likely it is misspelt."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paged(Parameters):
    """Query parameters of a list."""

    cursor: str | None = Field(
        None, max_length=MAX_CHARACTERS, description="`next_cursor` of the page before; none for the first."
    )
    limit: int = Field(100, ge=1, le=MAX_LIMIT, description="Most items of a page; it may have fewer.")


def micros(text: str | None) -> int | None:
    """Microseconds since the epoch of an `Instant`."""
    return None if text is None else parse_time_us(text)
