"""Price models, against a pricer that walks unit by unit."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from unit.aggregator.rating.prices import models, quarters, walked

from aggregator.rating.tiers import PricedTier, price
from schemas.price import Graduated, Package, PerUnit, PriceModel, Volume

BIG = 12345678901234567890123456789012345678
TIERS = [
    {"up_to": "5", "unit_price": "7", "flat": "10"},
    {"up_to": "10", "unit_price": "6.5", "flat": "20"},
    {"unit_price": "6", "flat": "30"},
]


def per_unit(unit_price: str, per: str = "1") -> PerUnit:
    return PerUnit.model_validate({"model": "per_unit", "unit_price": unit_price, "per": per})


def graduated() -> Graduated:
    return Graduated.model_validate({"model": "graduated", "tiers": TIERS})


def volume() -> Volume:
    return Volume.model_validate({"model": "volume", "tiers": TIERS})


def package(size: str, unit_price: str) -> Package:
    return Package.model_validate({"model": "package", "size": size, "unit_price": unit_price})


def amount(model: PriceModel, quantity: Fraction | int) -> Fraction:
    return sum((tier.amount for tier in price(model, Fraction(quantity))), Fraction())


@given(models, quarters(0, 200))
def test_a_price_is_what_a_walk_over_every_unit_comes_to(model: PriceModel, quantity: Fraction) -> None:
    assert amount(model, quantity) == walked(model, quantity)


@given(models, quarters(-200, 200))
def test_each_tier_explains_its_own_amount(model: PriceModel, quantity: Fraction) -> None:
    for tier in price(model, quantity):
        assert tier.amount == tier.quantity / tier.per * tier.unit_price + tier.flat
        assert tier.up_to is None or tier.from_quantity < tier.up_to


@given(models, quarters(-200, 200))
def test_the_tiers_hold_the_whole_quantity(model: PriceModel, quantity: Fraction) -> None:
    held = sum((tier.quantity for tier in price(model, quantity)), Fraction())
    if isinstance(model, Package):
        assert 0 <= held - quantity < Fraction(model.size)
    else:
        assert held == quantity


@given(models, quarters(1, 200))
def test_graduated_tiers_join(model: PriceModel, quantity: Fraction) -> None:
    assume(isinstance(model, Graduated))
    tiers = price(model, quantity)
    assert tiers[0].from_quantity == 0
    assert [tier.from_quantity for tier in tiers[1:]] == [tier.up_to for tier in tiers[:-1]]
    assert all(tier.quantity > 0 for tier in tiers)


@given(models, quarters(0, 100), quarters(0, 100))
def test_more_never_costs_less_but_by_volume(model: PriceModel, one: Fraction, more: Fraction) -> None:
    assume(not isinstance(model, Volume))
    assert amount(model, one) <= amount(model, one + more)


@given(models, st.fractions(max_value=0, max_denominator=1000).filter(bool))
def test_what_was_withdrawn_is_paid_back_without_flat_fees(model: PriceModel, quantity: Fraction) -> None:
    match model:
        case PerUnit():
            expected = quantity * Fraction(model.unit_price) / Fraction(model.per)
        case Package():
            expected = -(-quantity // Fraction(model.size)) * Fraction(model.unit_price)
        case _:
            expected = quantity * Fraction(model.tiers[0].unit_price) / Fraction(model.per)
    assert amount(model, quantity) == expected <= 0


@given(models)
def test_nothing_costs_nothing(model: PriceModel) -> None:
    assert price(model, Fraction(0)) == ()


@pytest.mark.parametrize(
    ("quantity", "expected"), [("5", 45), ("5.000001", Fraction("65.0000065")), ("10", "97.5")]
)
def test_a_graduated_tier_ends_at_its_last_unit(quantity: str, expected: Fraction | str) -> None:
    assert amount(graduated(), Fraction(quantity)) == Fraction(expected)


@pytest.mark.parametrize(
    ("quantity", "expected"), [("5", 45), ("5.000001", Fraction("52.5000065")), ("10", 85), ("11", 96)]
)
def test_a_volume_lands_in_the_tier_that_it_does_not_exceed(quantity: str, expected: Fraction) -> None:
    assert amount(volume(), Fraction(quantity)) == expected


def test_tiers_say_where_they_lie() -> None:
    assert price(graduated(), Fraction(7)) == (
        PricedTier(
            Fraction(0), Fraction(5), Fraction(5), Fraction(7), Fraction(1), Fraction(10), Fraction(45)
        ),
        PricedTier(
            Fraction(5), Fraction(10), Fraction(2), Fraction("6.5"), Fraction(1), Fraction(20), Fraction(33)
        ),
    )
    assert price(volume(), Fraction(7)) == (
        PricedTier(
            Fraction(5),
            Fraction(10),
            Fraction(7),
            Fraction("6.5"),
            Fraction(1),
            Fraction(20),
            Fraction("65.5"),
        ),
    )


@pytest.mark.parametrize(
    ("quantity", "packages"), [("0.1", 1), ("100", 1), ("100.1", 2), ("-99", 0), ("-100", -1), ("-250", -2)]
)
def test_packages_are_whole(quantity: str, packages: int) -> None:
    assert amount(package("100", "5"), Fraction(quantity)) == 5 * packages


def test_38_digits_are_priced_to_the_last() -> None:
    price_text = "0.12345678901234567890123456789012345678"
    assert amount(per_unit(price_text), BIG) == Fraction(price_text) * BIG
    assert amount(per_unit("1", per="3"), BIG) == Fraction(BIG, 3)
    assert amount(per_unit("0.00000000000000000000000000000000000001"), BIG) == Fraction(BIG, 10**38)
