"""Exact numbers: what the digits of a literal say, and nothing else."""

import re
from decimal import (
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
    Underflow,
)
from typing import Final

from schemas.codes import Code, Refused

MAX_DIGITS: Final = 38
"""Digits from the first that is not zero to the last that is written, zeros at the end included."""

MAX_EXPONENT: Final = 38
"""No digit as written stands above 10^38 or below 10^-38, so any sum of 10^22 numbers has 99 digits."""

EXACT: Final = Context(
    prec=100,
    traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, Underflow, FloatOperation],
)
"""The one context for arithmetic on usage: it computes exactly or raises."""

_NUMBER: Final = re.compile(
    r"-?(?P<whole>0|[1-9][0-9]*)(?:\.(?P<fraction>[0-9]+))?(?:[eE](?P<exponent>[+-]?[0-9]+))?"
)


class NumberRefused(Refused):
    """A literal that is no exact number: `not_a_number`, `number_too_long` or `exponent_out_of_range`."""

    def __init__(self, code: Code, literal: str = "") -> None:
        super().__init__(code, ascii(literal[:100]))


def exact_number(literal: str) -> int | Decimal:
    """The number that a JSON literal (RFC 8259, section 6) writes.

    Digits alone make an int, all others a Decimal of the same digits.
    Zero has no sign: `-0` and `-0.0` are `0` and `0.0`. Equal numbers are equal whatever their type.

    Raises:
        NumberRefused: the text is no JSON number, is too long, or has digits beyond 10^±38.
    """
    match = _NUMBER.fullmatch(literal)
    if match is None:
        raise NumberRefused(Code.NOT_A_NUMBER, literal)
    whole, fraction, exponent = match.groups(default="")
    digits = (whole + fraction).lstrip("0")
    if len(digits) > MAX_DIGITS:
        raise NumberRefused(Code.NUMBER_TOO_LONG, literal)
    if not fraction and not exponent:
        return int(literal)
    lowest = _power(exponent) - len(fraction)
    highest = lowest + max(len(digits), 1) - 1
    if lowest < -MAX_EXPONENT or highest > MAX_EXPONENT:
        raise NumberRefused(Code.EXPONENT_OUT_OF_RANGE, literal)
    number = Decimal(literal)
    return number if digits else number.copy_abs()


def _power(exponent: str) -> int:
    """The exponent as an int; one of very many digits is cut, for it is out of range anyway."""
    sign = -1 if exponent.startswith("-") else 1
    return sign * int(exponent.lstrip("+-").lstrip("0")[:9] or "0")


def plain_text(number: int | Decimal) -> str:
    """The number's one plain form: no exponent, no zeros at the end, no sign on zero."""
    if isinstance(number, int):
        return str(number)  # format() would take it for a float
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
