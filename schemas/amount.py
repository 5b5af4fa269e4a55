"""Amounts and quantities that people write: exact, and never through a float."""

from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from schemas.document import DocumentCode, problem_error
from schemas.number import NumberRefused, exact_number, plain_text

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)

_TEXT: Final = r"^(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"


def _exact(value: object) -> Decimal:
    """The number, in the one form of its value: `20`, `20.00` and `"2e1"` are equal and alike.

    JSON has texts for numbers too, because many of its readers make a float of a bare one.
    """
    match value:
        case float():
            sentence = 'this number went through a float: send it as a text, such as "0.25"'
            raise problem_error(DocumentCode.WRONG_TYPE, sentence)
        case int() | Decimal() | str() if not isinstance(value, bool):
            try:
                return Decimal(plain_text(exact_number(str(value))))
            except NumberRefused:
                sentence = "write a number of at most 38 digits, such as `0.25`"
                raise problem_error(DocumentCode.NOT_ALLOWED, sentence) from None
        case _:
            raise problem_error(DocumentCode.WRONG_TYPE, "write a number here")


def _json_schema(**bound: int) -> WithJsonSchema:
    schema: dict[str, Any] = {"anyOf": [{"type": "number", **bound}, {"type": "string", "pattern": _TEXT}]}
    return WithJsonSchema(schema)


_Exact = Annotated[Decimal, BeforeValidator(_exact), PlainSerializer(plain_text, when_used="json")]

Amount = Annotated[_Exact, Field(ge=0), _json_schema(minimum=0)]
"""Money or a quantity of zero or more."""

Positive = Annotated[_Exact, Field(gt=0), _json_schema(exclusiveMinimum=0)]
"""A quantity that is divided by, or counted up to."""
