"""What a quantity costs under a price model, tier by tier; exactly."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import ceil
from typing import Final, NamedTuple

from schemas.price import Graduated, Package, PerUnit, PriceModel, Step, Volume

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
            return (_tier(model.step, quantity),)
        case Package():
            size = model.step.per
            units = ceil(quantity / size) * size
            return (_tier(model.step, units),) if units else ()
        case _ if quantity < 0:
            return (_tier(model.steps[0]._replace(flat=ZERO), quantity),)
        case Graduated():
            return tuple(_graduated(model.steps, quantity))
        case Volume():
            landed = next(step for step in model.steps if step.end is None or quantity <= step.end)
            return (_tier(landed, quantity),)


def _graduated(steps: Iterable[Step], quantity: Fraction) -> Iterator[PricedTier]:
    for step in steps:
        if step.end is None or quantity <= step.end:
            yield _tier(step, quantity - step.start)
            return
        yield _tier(step, step.end - step.start)


def _tier(step: Step, quantity: Fraction) -> PricedTier:
    start, end, unit_price, per, flat = step
    amount = quantity * unit_price / per
    return PricedTier(start, end, quantity, unit_price, per, flat, amount + flat if flat else amount)
