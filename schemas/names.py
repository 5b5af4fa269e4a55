"""Names and texts that several sections of a catalog share: written one way, compared one way."""

from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from schemas.document import Written
from schemas.number import plain_text

MAX_GROUPS: Final = 8
MAX_PATH_CHARACTERS: Final = 256

_NAME: Final = Written("[a-z][a-z0-9_-]{0,63}", "write up to 64 of a-z, 0-9, _ and -, a letter first")
_DATA_PATH: Final = Written(r"[^.\s]+(\.[^.\s]+)*", "write a path into `data` such as `usage.tokens`")
_GROUP_NAME: Final = Written(r"[^\s,=]+", "write a name without spaces, commas and equal signs")


def _scalar_text(value: object) -> object:
    """Filters compare texts, as groups do: 1, 1.0 and "1" are one value, and so are true and "true"."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return plain_text(value)
        case _:
            return value


def sorted_unique(texts: list[str]) -> list[str]:
    """The one form of a list whose order and repetitions say nothing."""
    return sorted(set(texts))


Name = Annotated[str, _NAME]
"""A lasting name of something in the catalog."""

DataPath = Annotated[str, Field(max_length=MAX_PATH_CHARACTERS), _DATA_PATH]
"""A dotted path into the event's `data`."""

GroupName = Annotated[str, Field(max_length=MAX_PATH_CHARACTERS), _GROUP_NAME]
FilterValue = Annotated[str, BeforeValidator(_scalar_text, json_schema_input_type=str | bool | int | float)]
