"""An event's data, read quickly and with exact numbers.

The text must be UTF-8 without escaped NULs: the decoders do not check that.
"""

from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from schemas.codes import Code
from schemas.number import MAX_DIGITS, NumberRefused, exact_number

_INT64: Final = 2**63  # what fits 64 bits is checked while it is decoded
_TOO_LONG: Final = 10**MAX_DIGITS

read_flat: Final = msgspec.json.Decoder(
    dict[str, Annotated[int, Meta(ge=-_INT64, le=_INT64 - 1)] | str | bool | None]
).decode
"""The values of an object of texts, booleans, nulls and integers of 64 bits.

Raises:
    msgspec.ValidationError: it has other values.
    msgspec.DecodeError: it is not JSON.
"""


def read_nested(data: msgspec.Raw) -> dict[str, Any]:
    """The values of any object.

    Raises:
        msgspec.DecodeError: it is not JSON, or no object.
        NumberRefused: a number must be refused.
    """
    values = _read_nested(data)
    _refuse_long_integers(values)
    return values


def _exact_fraction(literal: str) -> int | Decimal:
    """As `exact_number`, quicker for a JSON literal that is short enough to be sure of."""
    if len(literal) > MAX_DIGITS or "e" in literal or "E" in literal:
        return exact_number(literal)
    number = Decimal(literal)
    return number or number.copy_abs()


_read_nested: Final = msgspec.json.Decoder(dict[str, Any], float_hook=_exact_fraction).decode


def _refuse_long_integers(values: dict[str, Any]) -> None:
    """Fractions and exponents were checked as they were read; integers were not."""
    containers: list[dict[str, Any] | list[Any]] = [values]
    for container in containers:
        for item in container.values() if isinstance(container, dict) else container:
            kind = item.__class__
            if kind is int:
                if not -_TOO_LONG < item < _TOO_LONG:
                    raise NumberRefused(Code.NUMBER_TOO_LONG)
            elif kind is dict or kind is list:
                containers.append(item)
