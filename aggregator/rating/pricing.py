"""What the usage of a segment costs under a plan: lines, charges, and the total; exactly, and rounded once.

Everything has two amounts: the unrounded one, and the one that is paid. With `rounding.at: line` each line
is rounded, and charges and total are sums of those; with `at: total` only the segment's total is rounded.
Minimum and maximum hold for both amounts alike, each as a line of its own with the difference.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal, NamedTuple

from aggregator.rating.amounts import rounded
from aggregator.rating.tiers import ZERO, PricedTier, price
from schemas.plan import Plan, Rounding
from schemas.price import FlatCharge, MeteredCharge, PriceModel

ONE: Final = Fraction(1)


class Portion(NamedTuple):
    """Which part of its billing period a segment is."""

    share: Fraction  # of the whole calendar period
    is_first: bool  # whether no earlier segment of this period has the plan's flat fees


class Usage(NamedTuple):
    """A line before it is priced: what a roll-up gave for one combination of a charge's `group_by`."""

    group: Mapping[str, str | None] | None  # None: the meter's `other` series
    quantity: Fraction
    events: int


class PricedLine(NamedTuple):
    """A line with its price; the fee of a flat charge is a line of as many units as the share it is for."""

    group: Mapping[str, str | None] | None
    quantity: Fraction
    events: int
    included: Fraction
    billable: Fraction
    price: str  # `default`, `when N` (counted from 1), `other` or `flat`
    tiers: tuple[PricedTier, ...]
    unrounded_amount: Fraction
    amount: Fraction


class Bound(NamedTuple):
    """What a minimum adds, or a maximum takes off: a difference."""

    kind: Literal["minimum", "maximum"]
    unrounded_amount: Fraction
    amount: Fraction


class Amounts(NamedTuple):
    """An exact amount, and the one that is paid."""

    unrounded_amount: Fraction
    amount: Fraction


class PricedCharge(NamedTuple):
    """One charge of a plan in one segment."""

    charge: str
    lines: tuple[PricedLine, ...]
    unpriced: tuple[Usage, ...]  # usage that no price is for
    bounds: tuple[Bound, ...]
    unrounded_amount: Fraction
    amount: Fraction


class PricedSegment(NamedTuple):
    """All charges of a plan in one segment."""

    charges: tuple[PricedCharge, ...]
    bounds: tuple[Bound, ...]
    unrounded_amount: Fraction
    amount: Fraction


def price_segment(plan: Plan, portion: Portion, usage: Mapping[str, Sequence[Usage]]) -> PricedSegment:
    """What a segment costs; `usage` has the lines of each metered charge, by its name, in their final order.

    A charge without usage costs its minimum.
    """
    share = portion.share if plan.prorate else ONE
    at_line = plan.rounding if plan.rounding.at == "line" else None
    charges = []
    for charge in plan.charges:
        if isinstance(charge, MeteredCharge):
            charges.append(price_charge(charge, usage.get(charge.name, ()), share, at_line))
        elif plan.prorate or portion.is_first:
            charges.append(price_flat(charge, share, at_line))
    unrounded, amount = _sum(charges)
    total = Amounts(unrounded, rounded(amount, plan.rounding))  # a sum of rounded lines stays as it is
    bounds = _bounds(plan.minimum, plan.maximum, total, share, plan.rounding)
    return PricedSegment(tuple(charges), bounds, *_sum([total, *bounds]))


def price_flat(charge: FlatCharge, share: Fraction, rounding: Rounding | None) -> PricedCharge:
    """The fee for a share of a period; `rounding` None keeps the line exact."""
    fee = Fraction(charge.flat)
    amount = fee * share
    tiers = (PricedTier(ZERO, None, share, fee, ONE, ZERO, amount),)
    line = PricedLine({}, share, 0, ZERO, share, "flat", tiers, amount, _paid(amount, rounding))
    return PricedCharge(charge.name, (line,), (), (), line.unrounded_amount, line.amount)


def price_charge(
    charge: MeteredCharge, usage: Sequence[Usage], share: Fraction, rounding: Rounding | None
) -> PricedCharge:
    """The lines of a metered charge; `share` is that of its included quantity, minimum and maximum."""
    lines, unpriced = [], []
    for one in usage:
        chosen = price_of(charge, one.group)
        if chosen is None:
            unpriced.append(one)
        else:
            lines.append(_line(one, *chosen, Fraction(charge.included) * share, rounding))
    total = _sum(lines)
    bounds = _bounds(charge.minimum, charge.maximum, total, share, rounding)
    return PricedCharge(charge.name, tuple(lines), tuple(unpriced), bounds, *_sum([total, *bounds]))


def price_of(charge: MeteredCharge, group: Mapping[str, str | None] | None) -> tuple[str, PriceModel] | None:
    """The price of a line, and which one it is; None if none is for it."""
    if group is None:
        return None if charge.other is None else ("other", charge.other)
    for number, candidate in enumerate(charge.prices, start=1):
        if candidate.matches(group):
            return f"when {number}", candidate.price
    return None if charge.price is None else ("default", charge.price)


def _line(
    usage: Usage, name: str, model: PriceModel, included: Fraction, rounding: Rounding | None
) -> PricedLine:
    billable = usage.quantity if usage.quantity < 0 else max(usage.quantity - included, ZERO)
    tiers = price(model, billable)
    amount = sum((tier.amount for tier in tiers), ZERO)
    return PricedLine(*usage, included, billable, name, tiers, amount, _paid(amount, rounding))


def _bounds(
    minimum: Decimal | None,
    maximum: Decimal | None,
    total: Amounts,
    share: Fraction,
    rounding: Rounding | None,
) -> tuple[Bound, ...]:
    bounds = []
    if minimum is not None:
        least = Fraction(minimum) * share
        missing = max(least - total.unrounded_amount, ZERO)
        bounds.append(Bound("minimum", missing, max(_paid(least, rounding) - total.amount, ZERO)))
    if maximum is not None:
        most = Fraction(maximum) * share
        excess = min(most - total.unrounded_amount, ZERO)
        bounds.append(Bound("maximum", excess, min(_paid(most, rounding) - total.amount, ZERO)))
    return tuple(bound for bound in bounds if bound.unrounded_amount or bound.amount)


def _paid(amount: Fraction, rounding: Rounding | None) -> Fraction:
    return amount if rounding is None else rounded(amount, rounding)


def _sum(parts: Sequence[Amounts | PricedLine | PricedCharge | Bound]) -> Amounts:
    if len(parts) == 1:  # most often, and fractions are slow to add
        return Amounts(parts[0].unrounded_amount, parts[0].amount)
    return Amounts(
        sum((part.unrounded_amount for part in parts), ZERO), sum((part.amount for part in parts), ZERO)
    )
