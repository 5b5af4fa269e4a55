"""What a quantity costs under a price model, tier by tier; exactly."""

from collections.abc import Iterable
from fractions import Fraction
from math import ceil
from typing import Final, NamedTuple

from schemas.price import Graduated, Package, PerUnit, PriceModel, Tier, Volume

ZERO: Final = Fraction(0)


class PricedTier(NamedTuple):
    """The part of a quantity that one tier prices: `amount = quantity / per * unit_price + flat`.

    `from_quantity` is outside the tier, `up_to` (None: no end) is in it. Packages are one tier, whose
    `quantity` counts the units in whole packages, used or not.
    """

    from_quantity: Fraction
    up_to: Fraction | None
    quantity: Fraction
    unit_price: Fraction
    per: Fraction
    flat: Fraction
    amount: Fraction


def price(model: PriceModel, quantity: Fraction) -> tuple[PricedTier, ...]:
    """The tiers that a quantity reaches; none for zero. What it costs is the sum of their amounts.

    A quantity below zero (more was withdrawn than used) is paid back at the price of the first unit, without
    a tier's flat fee, and by the whole packages that it fills.
    """
    if quantity == 0:
        return ()
    match model:
        case PerUnit():
            return (_tier(ZERO, None, quantity, Fraction(model.unit_price), Fraction(model.per)),)
        case Package():
            size = Fraction(model.size)
            units = ceil(quantity / size) * size
            return (_tier(ZERO, None, units, Fraction(model.unit_price), size),) if units else ()
        case Graduated():
            return tuple(_graduated(model, quantity))
        case Volume():
            return (_volume(model, quantity),)


def _graduated(model: Graduated, quantity: Fraction) -> Iterable[PricedTier]:
    per = Fraction(model.per)
    if quantity < 0:
        yield _below_zero(model.tiers[0], quantity, per)
        return
    for start, end, tier in _bounds(model.tiers):
        inside = (quantity if end is None else min(quantity, end)) - start
        if inside <= 0:
            return
        yield _tier(start, end, inside, Fraction(tier.unit_price), per, Fraction(tier.flat))


def _volume(model: Volume, quantity: Fraction) -> PricedTier:
    per = Fraction(model.per)
    if quantity < 0:
        return _below_zero(model.tiers[0], quantity, per)
    start, end, tier = next(
        bounds for bounds in _bounds(model.tiers) if bounds[1] is None or quantity <= bounds[1]
    )
    return _tier(start, end, quantity, Fraction(tier.unit_price), per, Fraction(tier.flat))


def _below_zero(first: Tier, quantity: Fraction, per: Fraction) -> PricedTier:
    end = None if first.up_to is None else Fraction(first.up_to)
    return _tier(ZERO, end, quantity, Fraction(first.unit_price), per)


def _bounds(tiers: Iterable[Tier]) -> Iterable[tuple[Fraction, Fraction | None, Tier]]:
    start = ZERO
    for tier in tiers:
        if tier.up_to is None:
            yield start, None, tier
        else:
            end = Fraction(tier.up_to)
            yield start, end, tier
            start = end


def _tier(
    start: Fraction,
    end: Fraction | None,
    quantity: Fraction,
    unit_price: Fraction,
    per: Fraction,
    flat: Fraction = ZERO,
) -> PricedTier:
    return PricedTier(start, end, quantity, unit_price, per, flat, quantity / per * unit_price + flat)
