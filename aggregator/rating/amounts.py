"""Amounts: exact until a plan rounds them once, and as texts without loss."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import ceil, floor
from typing import Final

from schemas.plan import Rounding, RoundingMode

MAX_PLACES: Final = 60
"""A number that needs more digits than this after the point is written as a ratio."""


def _half_up(number: Fraction) -> int:
    whole = floor(abs(number) + Fraction(1, 2))
    return whole if number >= 0 else -whole


_WHOLE: Final[Mapping[RoundingMode, Callable[[Fraction], int]]] = {
    "half_up": _half_up,
    "half_even": round,
    "up": lambda number: ceil(number) if number > 0 else floor(number),
    "down": int,
    "ceiling": ceil,
    "floor": floor,
}


def rounded(amount: Fraction, rounding: Rounding) -> Fraction:
    """The amount at the plan's places; `half_up` and `up` go away from zero, as in IEEE 754 and `decimal`."""
    scale = 10**rounding.places
    return Fraction(_WHOLE[rounding.mode](amount * scale), scale)


def exact_text(number: Fraction) -> str:
    """A decimal without exponent and without zeros at its end, or `n/d` in lowest terms.

    A decimal if there is one with at most `MAX_PLACES` digits after the point: 1/8 is `0.125`, 1/3 is `1/3`.
    """
    places = _places(number.denominator)
    if places is None:
        return f"{number.numerator}/{number.denominator}"
    digits = str(abs(number.numerator) * 10**places // number.denominator).zfill(places + 1)
    sign = "-" if number < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else sign + digits


def from_text(text: str) -> Fraction:
    """The number that `exact_text` wrote."""
    return Fraction(text)


def _places(denominator: int) -> int | None:
    """Digits after the point of a fraction in lowest terms; None if there are more than `MAX_PLACES`."""
    twos = (denominator & -denominator).bit_length() - 1
    rest, fives = denominator >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    return places if rest == 1 and places <= MAX_PLACES else None
