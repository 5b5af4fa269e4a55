"""A number is what its digits say, or it is refused."""

import re
from decimal import Decimal, Inexact, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.schemas.records import number_texts

from schemas.codes import Code
from schemas.number import EXACT, MAX_DIGITS, MAX_EXPONENT, NumberRefused, exact_number, plain_text


@st.composite
def literals(draw: st.DrawFn) -> str:
    """Literals at and within the limits, spelled in any way."""
    digits = draw(st.from_regex(r"[1-9][0-9]{0,37}", fullmatch=True))
    highest = draw(st.integers(len(digits) - 1 - MAX_EXPONENT, MAX_EXPONENT))
    point = draw(st.integers(1, len(digits)))
    fraction = f".{digits[point:]}" if digits[point:] else ""
    exponent = highest - point + 1
    mark = draw(st.sampled_from(["e", "E", "e+", "e0"] if exponent >= 0 else ["e", "E"]))
    sign = draw(st.sampled_from(["", "-"]))
    return sign + digits[:point] + fraction + (f"{mark}{exponent}" if exponent or draw(st.booleans()) else "")


@given(literals())
def test_every_literal_within_the_limits_is_exact(literal: str) -> None:
    assert Fraction(exact_number(literal)) == Fraction(literal)


def read(literal: str) -> int | Decimal | Code:
    try:
        return exact_number(literal)
    except NumberRefused as refused:
        return refused.code


@given(number_texts)
def test_any_literal_is_exact_or_refused(literal: str) -> None:
    number = read(literal)
    if isinstance(number, Code):
        assert number in {Code.NOT_A_NUMBER, Code.NUMBER_TOO_LONG, Code.EXPONENT_OUT_OF_RANGE}
    else:
        assert Fraction(number) == Fraction(Decimal(literal))
        assert isinstance(number, int) == literal.lstrip("-").isdecimal()


@given(st.lists(literals(), min_size=1, max_size=50))
def test_no_sum_is_ever_rounded(texts: list[str]) -> None:
    with localcontext(EXACT):
        total = sum((exact_number(text) for text in texts), Decimal(0))
    assert Fraction(total) == sum(Fraction(text) for text in texts)


def test_a_sum_of_the_most_numbers_fits() -> None:
    largest, smallest = exact_number("9" * MAX_DIGITS + "e1"), exact_number("1e-38")
    with localcontext(EXACT):
        assert largest * 10**22 + smallest > largest  # and nothing was trapped
    with localcontext(EXACT), pytest.raises(Inexact):
        Decimal(1) / 3


@pytest.mark.parametrize(
    ("literal", "code"),
    [
        ("9" * 38, None),
        ("9" * 39, Code.NUMBER_TOO_LONG),
        ("0." + "9" * 38, None),
        ("1." + "0" * 38, Code.NUMBER_TOO_LONG),
        ("1e38", None),
        ("1e39", Code.EXPONENT_OUT_OF_RANGE),
        ("10e38", Code.EXPONENT_OUT_OF_RANGE),
        ("1e-38", None),
        ("1.0e-38", Code.EXPONENT_OUT_OF_RANGE),
        ("0." + "0" * 38, None),
        ("0." + "0" * 39, Code.EXPONENT_OUT_OF_RANGE),
        ("0e39", Code.EXPONENT_OUT_OF_RANGE),
        ("1e" + "9" * 5000, Code.EXPONENT_OUT_OF_RANGE),
        ("1e-" + "9" * 5000, Code.EXPONENT_OUT_OF_RANGE),
        ("1e" + "0" * 5000 + "1", None),
        ("1e" + "0" * 5000 + "39", Code.EXPONENT_OUT_OF_RANGE),
        ("9" * 100_000, Code.NUMBER_TOO_LONG),
    ],
)
def test_the_limits(literal: str, code: Code | None) -> None:
    assert read(literal) == (exact(literal) if code is None else code)


def exact(literal: str) -> Fraction:
    return Fraction(Decimal(literal))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "+1",
        "01",
        "1.",
        ".5",
        "1e",
        "1_000",
        "1,5",
        "NaN",
        "inf",
        "0x10",
        "\uff11",
        "1\n",
        "\u0661",
    ],
)
def test_what_json_does_not_write_is_no_number(text: str) -> None:
    assert read(text) is Code.NOT_A_NUMBER


@pytest.mark.parametrize("literal", ["0", "-0", "0.0", "-0.00", "-0e0"])
def test_zero_has_no_sign(literal: str) -> None:
    number = exact_number(literal)
    assert number == 0
    assert "-" not in str(number)


@given(literals() | number_texts)
def test_a_number_has_one_plain_text(literal: str) -> None:
    number = read(literal)
    if not isinstance(number, Code):
        text = plain_text(number)
        assert Fraction(text) == Fraction(number)
        assert re.fullmatch(r"0|-?(0|[1-9][0-9]*)\.[0-9]*[1-9]|-?[1-9][0-9]*", text)


@pytest.mark.parametrize(
    ("literal", "text"),
    [("1.0", "1"), ("1e3", "1000"), ("-0.10", "-0.1"), ("-0.0", "0"), ("1e-5", "0.00001"), ("100", "100")],
)
def test_plain_texts(literal: str, text: str) -> None:
    assert plain_text(exact_number(literal)) == text


def test_a_plain_text_of_38_digits_is_not_rounded() -> None:
    literal = "1.2345678901234567890123456789012345678"
    assert plain_text(exact_number(literal)) == literal
