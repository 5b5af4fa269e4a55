"""Rounding as IEEE 754 and `decimal` round, and texts that lose nothing."""

import decimal
from decimal import Decimal
from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.rating.amounts import MAX_PLACES, exact_text, from_text, rounded
from schemas.plan import Rounding, RoundingMode

OF_DECIMAL: Final[dict[RoundingMode, str]] = {
    "half_up": decimal.ROUND_HALF_UP,
    "half_even": decimal.ROUND_HALF_EVEN,
    "up": decimal.ROUND_UP,
    "down": decimal.ROUND_DOWN,
    "ceiling": decimal.ROUND_CEILING,
    "floor": decimal.ROUND_FLOOR,
}
modes = st.sampled_from(sorted(OF_DECIMAL))
numbers = st.decimals(-(10**40), 10**40, allow_nan=False, allow_infinity=False) | st.integers(
    -(10**9), 10**9
).map(lambda n: Decimal(n) / 1000)  # so that ties are common


@given(numbers, st.integers(0, 6), modes)
def test_decimals_are_rounded_as_decimal_does(number: Decimal, places: int, mode: RoundingMode) -> None:
    with decimal.localcontext(prec=200):
        expected = number.quantize(Decimal(1).scaleb(-places), OF_DECIMAL[mode])
    assert rounded(Fraction(number), Rounding(places=places, mode=mode)) == Fraction(expected)


@given(st.fractions(), st.integers(0, 38), modes)
def test_what_is_rounded_is_near_and_stays(number: Fraction, places: int, mode: RoundingMode) -> None:
    rounding = Rounding(places=places, mode=mode)
    once = rounded(number, rounding)
    assert rounded(once, rounding) == once
    assert (once * 10**places).denominator == 1
    assert abs(once - number) * 10**places < 1
    if mode.startswith("half"):
        assert abs(once - number) * 10**places <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("half_up", ["-0.03", "-0.02", "0.02", "0.03"]),
        ("half_even", ["-0.02", "-0.02", "0.02", "0.02"]),
        ("up", ["-0.03", "-0.02", "0.02", "0.03"]),
        ("down", ["-0.02", "-0.01", "0.01", "0.02"]),
        ("ceiling", ["-0.02", "-0.01", "0.02", "0.03"]),
        ("floor", ["-0.03", "-0.02", "0.01", "0.02"]),
    ],
)
def test_modes_differ_in_ties_and_signs(mode: RoundingMode, expected: list[str]) -> None:
    rounding = Rounding(places=2, mode=mode)
    texts = [exact_text(rounded(Fraction(text), rounding)) for text in ("-0.025", "-0.015", "0.015", "0.025")]
    assert texts == expected


def test_a_third_is_rounded_from_the_third_itself() -> None:
    assert rounded(Fraction(2, 3), Rounding(places=38)) == Fraction(int("6" * 37 + "7"), 10**38)
    just_below = Fraction(1, 2) - Fraction(1, 10**90)
    assert rounded(just_below, Rounding(places=0)) == 0


@given(st.fractions() | st.decimals(allow_nan=False, allow_infinity=False, places=30).map(Fraction))
def test_a_text_gives_its_number_back(number: Fraction) -> None:
    text = exact_text(number)
    assert from_text(text) == number
    assert "e" not in text.lower()
    assert "." not in text or not text.endswith(("0", "."))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Fraction(0), "0"),
        (Fraction(-5), "-5"),
        (Fraction(1200), "1200"),
        (Fraction(1, 8), "0.125"),
        (Fraction(-1, 20), "-0.05"),
        (Fraction(12345, 100), "123.45"),
        (Fraction(1, 3), "1/3"),
        (Fraction(-4, 6), "-2/3"),
        (Fraction(1, 10**MAX_PLACES), f"0.{'0' * (MAX_PLACES - 1)}1"),
        (Fraction(1, 10 ** (MAX_PLACES + 1)), f"1/{10 ** (MAX_PLACES + 1)}"),
        (Fraction(1, 2**61), f"1/{2**61}"),
    ],
)
def test_texts_are_plain_where_they_can_be(number: Fraction, text: str) -> None:
    assert exact_text(number) == text
