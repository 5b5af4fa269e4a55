"""Amounts: exact until a plan rounds them once, and as texts without loss."""

from fractions import Fraction
from typing import Final

from schemas.plan import Rounding, RoundingMode

MAX_PLACES: Final = 60
"""A number that needs more digits than this after the point is written as a ratio."""


def rounded(amount: Fraction, rounding: Rounding) -> Fraction:
    """The amount at the plan's places; `half_up` and `up` go away from zero, as in IEEE 754 and `decimal`."""
    scale = 10**rounding.places
    return Fraction(_whole(amount.numerator * scale, amount.denominator, rounding.mode), scale)


def _whole(numerator: int, denominator: int, mode: RoundingMode) -> int:
    """The whole number that a ratio is rounded to."""
    below, rest = divmod(numerator, denominator)
    match mode:
        case "floor":
            is_up = False
        case "ceiling":
            is_up = rest > 0
        case "down":
            is_up = rest > 0 and numerator < 0
        case "up":
            is_up = rest > 0 and numerator > 0
        case "half_up":
            is_up = 2 * rest > denominator or (2 * rest == denominator and numerator > 0)
        case "half_even":
            is_up = 2 * rest > denominator or (2 * rest == denominator and below % 2 == 1)
    return below + is_up


def exact_text(number: Fraction) -> str:
    """A decimal without exponent and without zeros at its end, or `n/d` in lowest terms.

    A decimal if there is one with at most `MAX_PLACES` digits after the point: 1/8 is `0.125`, 1/3 is `1/3`.
    """
    numerator, denominator = number.numerator, number.denominator
    if denominator == 1:
        return str(numerator)
    places = _places(denominator)
    if places is None:
        return f"{numerator}/{denominator}"
    digits = str(abs(numerator) * 10**places // denominator).zfill(places + 1)
    return f"{'-' if numerator < 0 else ''}{digits[:-places]}.{digits[-places:]}"


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
