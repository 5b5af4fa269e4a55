"""Lines, charges and segments: against sums by hand and a walk over every unit."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, Inexact, localcontext
from fractions import Fraction
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.aggregator.rating.prices import models, quarters, walked

from aggregator.rating.amounts import rounded
from aggregator.rating.pricing import (
    Bound,
    Portion,
    PricedCharge,
    PricedSegment,
    Usage,
    price_of,
    price_segment,
)
from schemas.plan import Plan, Rounding, RoundingMode
from schemas.price import MeteredCharge, PriceModel

WHOLE = Portion(Fraction(1), is_first=True)


def per_unit(unit_price: str) -> dict[str, Any]:
    return {"model": "per_unit", "unit_price": unit_price}


def plan(*charges: Mapping[str, Any], places: int = 2, at: str = "line", **fields: object) -> Plan:
    named = [{"name": f"c{place}", **charge} for place, charge in enumerate(charges)]
    rounding = {"places": places, "at": at}
    return Plan.model_validate(
        {"name": "p", "currency": "EUR", "rounding": rounding, "charges": named} | fields
    )


def metered(**fields: object) -> dict[str, Any]:
    return {"meter": "m", "price": per_unit("1")} | fields


def used(*quantities: int | str, group: Mapping[str, str | None] | None = None) -> list[Usage]:
    return [Usage({} if group is None else group, Fraction(quantity), 1) for quantity in quantities]


def one(segment: PricedSegment) -> PricedCharge:
    [charge] = segment.charges
    return charge


def test_a_segment_is_the_sum_of_what_is_in_it() -> None:
    pro = plan({"flat": "20"}, metered(price=per_unit("0.125")), metered(price=per_unit("0.5")))
    segment = price_segment(pro, WHOLE, {"c1": used(1, 3), "c2": used(7)})
    assert [(charge.unrounded_amount, charge.amount) for charge in segment.charges] == [
        (20, 20),
        (Fraction("0.5"), Fraction("0.51")),  # 0.125 and 0.375, each rounded half up
        (Fraction("3.5"), Fraction("3.5")),
    ]
    assert (segment.unrounded_amount, segment.amount) == (Fraction("24"), Fraction("24.01"))


def test_rounded_at_the_total_lines_stay_exact() -> None:
    pro = plan(metered(price={"model": "per_unit", "unit_price": "1", "per": "3"}), at="total")
    segment = price_segment(pro, WHOLE, {"c0": used(1, 1)})
    assert [line.amount for line in one(segment).lines] == [Fraction(1, 3)] * 2
    assert one(segment).amount == Fraction(2, 3)
    assert (segment.unrounded_amount, segment.amount) == (Fraction(2, 3), Fraction("0.67"))


@given(
    st.lists(st.tuples(models, quarters(0, 100), quarters(0, 100)), min_size=1, max_size=3),
    st.sampled_from(get_args(RoundingMode)),
    st.sampled_from(["line", "total"]),
    st.integers(0, 4),
)
def test_charges_are_what_a_walk_beyond_the_included_comes_to(
    charges: list[tuple[PriceModel, Fraction, Fraction]], mode: RoundingMode, at: str, places: int
) -> None:
    rounding = {"places": places, "mode": mode, "at": at}
    written = [
        {"name": f"c{n}", "meter": "m", "price": model, "included": str(float(included))}
        for n, (model, included, _) in enumerate(charges)
    ]
    mixed = Plan.model_validate({"name": "p", "currency": "EUR", "rounding": rounding, "charges": written})
    usage = {f"c{n}": [Usage({}, quantity, 1)] for n, (_, _, quantity) in enumerate(charges)}
    segment = price_segment(mixed, WHOLE, usage)
    costs = [walked(model, max(quantity - included, Fraction())) for model, included, quantity in charges]
    assert [charge.unrounded_amount for charge in segment.charges] == costs
    assert segment.unrounded_amount == sum(costs)
    if at == "line":
        assert segment.amount == sum(rounded(cost, mixed.rounding) for cost in costs)
    else:
        assert segment.amount == rounded(sum(costs, Fraction()), mixed.rounding)


def test_what_is_included_is_free_for_each_line() -> None:
    pro = plan(metered(included="100", group_by=["model"]))
    usage = [Usage({"model": name}, Fraction(q), 1) for name, q in (("a", 99), ("b", 101), ("c", -5))]
    lines = one(price_segment(pro, WHOLE, {"c0": usage})).lines
    assert [(line.included, line.billable, line.amount) for line in lines] == [
        (100, 0, 0),
        (100, 1, 1),
        (100, -5, -5),
    ]
    assert [len(line.tiers) for line in lines] == [0, 1, 1]


def test_the_first_price_that_matches_counts() -> None:
    charge = plan(
        metered(
            group_by=["model", "region"],
            price=per_unit("1"),
            prices=[
                {"when": {"model": "code", "region": "eu"}, "price": per_unit("2")},
                {"when": {"model": ["code", "chat"]}, "price": per_unit("3")},
            ],
            other=per_unit("4"),
        )
    ).metered[0]
    found = [
        price_of(charge, group)
        for group in (
            {"model": "code", "region": "eu"},
            {"model": "code", "region": None},
            {"model": "chat", "region": "eu"},
            {"model": None, "region": "eu"},
            None,
        )
    ]
    assert [(name, model.unit_price) for name, model in found] == [  # type: ignore[misc, union-attr]
        ("when 1", 2),
        ("when 2", 3),
        ("when 2", 3),
        ("default", 1),
        ("other", 4),
    ]


def test_what_has_no_price_is_told_and_costs_nothing() -> None:
    usage = [
        Usage({"model": "new"}, Fraction(7), 3),
        Usage(None, Fraction(9), 1),
        Usage({"model": "a"}, Fraction(1), 1),
    ]
    known = plan(
        {
            "meter": "m",
            "group_by": ["model"],
            "prices": [{"when": {"model": "a"}, "price": per_unit("5")}],
            "minimum": "6",
        }
    )
    charge = one(price_segment(known, WHOLE, {"c0": usage}))
    assert charge.unpriced == tuple(usage[:2])
    assert [line.price for line in charge.lines] == ["when 1"]
    assert charge.amount == 6


@pytest.mark.parametrize(
    ("quantity", "bounds", "amount"),
    [
        (0, (Bound("minimum", Fraction(5), Fraction(5)),), 5),
        (-3, (Bound("minimum", Fraction(8), Fraction(8)),), 5),
        (4, (Bound("minimum", Fraction(1), Fraction(1)),), 5),
        (5, (), 5),
        (7, (), 7),
        (9, (), 9),
        (11, (Bound("maximum", Fraction(-2), Fraction(-2)),), 9),
    ],
)
@pytest.mark.parametrize("at", ["line", "total"])
def test_minimum_and_maximum_are_lines_with_the_difference(
    quantity: int, bounds: tuple[Bound, ...], amount: int, at: str
) -> None:
    usage = {"c0": used(quantity)}
    of_charge = price_segment(plan(metered(minimum="5", maximum="9"), at=at), WHOLE, usage)
    assert (one(of_charge).bounds, of_charge.bounds, of_charge.amount) == (bounds, (), amount)
    of_plan = price_segment(plan(metered(), minimum="5", maximum="9", at=at), WHOLE, usage)
    assert (one(of_plan).bounds, of_plan.bounds, of_plan.amount) == ((), bounds, amount)


def test_a_charge_without_usage_costs_its_minimum() -> None:
    segment = price_segment(plan(metered(minimum="5"), metered()), WHOLE, {})
    assert [charge.amount for charge in segment.charges] == [5, 0]


def test_a_minimum_holds_for_what_is_paid_and_for_what_is_exact() -> None:
    pro = plan(metered(price=per_unit("0.005"), minimum="0.6", maximum="0.7"))
    charge = one(price_segment(pro, WHOLE, {"c0": used(*[1] * 100)}))
    assert sum(line.unrounded_amount for line in charge.lines) == Fraction("0.5")
    assert sum(line.amount for line in charge.lines) == 1
    assert charge.bounds == (
        Bound("minimum", Fraction("0.1"), Fraction(0)),
        Bound("maximum", Fraction(0), Fraction("-0.3")),
    )
    assert (charge.unrounded_amount, charge.amount) == (Fraction("0.6"), Fraction("0.7"))


SHARE = Portion(Fraction(10, 31), is_first=False)
PRORATED = {
    "charges": [
        {"name": "base", "flat": "20"},
        {"name": "calls", **metered(included="31", minimum="62", maximum="93")},
    ],
    "minimum": "310",
}


def test_a_share_of_a_period_has_its_share_of_what_is_for_a_whole_one() -> None:
    segment = price_segment(plan(**PRORATED), SHARE, {"calls": used(15)})
    base, calls = segment.charges
    assert (base.unrounded_amount, base.amount) == (Fraction(200, 31), Fraction("6.45"))
    [fee] = base.lines
    assert (fee.price, fee.quantity, fee.group, fee.tiers[0].unit_price) == ("flat", SHARE.share, {}, 20)
    assert (calls.lines[0].included, calls.lines[0].billable) == (10, 5)
    assert calls.bounds == (Bound("minimum", Fraction(15), Fraction(15)),)
    assert segment.bounds == (
        Bound("minimum", 100 - Fraction(200, 31) - 20, Fraction(100) - Fraction("6.45") - 20),
    )
    assert (segment.unrounded_amount, segment.amount) == (100, 100)


def test_without_proration_everything_is_whole_and_the_fee_is_paid_once() -> None:
    whole = plan(prorate=False, **PRORATED)
    first = price_segment(whole, SHARE._replace(is_first=True), {"calls": used(15)})
    later = price_segment(whole, SHARE, {"calls": used(100)})
    assert [charge.charge for charge in first.charges] == ["base", "calls"]
    assert [charge.charge for charge in later.charges] == ["calls"]
    assert first.charges[0].amount == 20
    assert (later.charges[0].lines[0].included, later.charges[0].amount) == (31, 69)
    assert (first.amount, later.amount) == (310, 310)


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=6),
    st.integers(0, 10**6).map(lambda n: Decimal(n) / 100),
)
def test_the_shares_of_a_period_are_the_whole(lengths: list[int], fee: Decimal) -> None:
    exact = plan({"flat": str(fee)}, places=38)
    shares = [Fraction(length, sum(lengths)) for length in lengths]
    segments = [price_segment(exact, Portion(share, is_first=not n), {}) for n, share in enumerate(shares)]
    assert sum(segment.unrounded_amount for segment in segments) == fee


@given(
    st.lists(quarters(-50, 400), max_size=5),
    st.integers(0, 50),
    st.integers(50, 90),
    st.sampled_from(get_args(RoundingMode)),
    st.sampled_from(["line", "total"]),
    st.fractions(0, 1, max_denominator=31).filter(bool),
)
def test_what_is_paid_is_what_the_lines_add_up_to(
    quantities: list[Fraction], least: int, most: int, mode: RoundingMode, at: str, share: Fraction
) -> None:
    charge = metered(price=per_unit("0.333"), minimum=str(least), maximum=str(most))
    mixed = plan(charge, {"flat": "9.99"}, minimum="12.345", maximum="60")
    mixed = mixed.model_copy(
        update={"rounding": Rounding.model_validate({"places": 2, "mode": mode, "at": at})}
    )
    segment = price_segment(
        mixed, Portion(share, is_first=True), {"c0": [Usage({}, q, 1) for q in quantities]}
    )
    for part in segment.charges:
        assert part.unrounded_amount == sum(one.unrounded_amount for one in (*part.lines, *part.bounds))
        assert part.amount == sum(one.amount for one in (*part.lines, *part.bounds))
    assert segment.unrounded_amount == sum(
        one.unrounded_amount for one in (*segment.charges, *segment.bounds)
    )
    if at == "line":
        assert segment.amount == sum(one.amount for one in (*segment.charges, *segment.bounds))
    assert rounded(segment.amount, mixed.rounding) == segment.amount
    assert rounded(Fraction("12.345") * share, mixed.rounding) <= segment.amount
    assert segment.amount <= rounded(60 * share, mixed.rounding)
    assert Fraction("12.345") * share <= segment.unrounded_amount <= 60 * share


digits = st.integers(1, 10**38 - 1)
decimals = st.builds(lambda number, places: Decimal(number).scaleb(-places), digits, st.integers(0, 37))


@given(decimals, decimals, decimals, st.integers(1, 10**9))
def test_38_digits_are_exact_to_the_cent(low: Decimal, high: Decimal, quantity: Decimal, end: int) -> None:
    tiers = [{"up_to": end, "unit_price": low}, {"unit_price": high}]
    exact = plan(metered(price={"model": "graduated", "tiers": tiers}))
    segment = price_segment(exact, WHOLE, {"c0": [Usage({}, Fraction(quantity), 1)]})
    with localcontext(prec=200, traps=[Inexact]):
        cost = min(quantity, Decimal(end)) * low + max(quantity - end, Decimal(0)) * high
    with localcontext(prec=200):
        paid = cost.quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert (segment.unrounded_amount, segment.amount) == (Fraction(cost), Fraction(paid))


def test_every_metered_charge_says_its_name() -> None:
    charge = plan(metered()).charges[0]
    assert isinstance(charge, MeteredCharge)
    assert one(price_segment(plan(metered()), WHOLE, {})).charge == charge.name == "c0"
