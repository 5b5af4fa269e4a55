"""The second computation of amounts, against the first: they share no code, and every digit."""

from fractions import Fraction
from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st
from unit.aggregator.rating.prices import amounts, models, quarters

from aggregator.rating.pricing import Portion, Usage, price_segment
from metering.explain.reprice import Segment, Span, Use, reprice
from schemas.plan import Plan, RoundingMode

DAY_US = 86_400_000_000
SHARES = [Fraction(1), Fraction(1, 3), Fraction(17, 31), Fraction(0)]
GROUPS = [("a",), ("b",), (None,), None]

limits = st.none() | amounts(30 * 10**6)
charges = st.fixed_dictionaries(
    {
        "meter": st.just("m"),
        "group_by": st.just(["g"]),
        "included": amounts(3 * 10**6),
        "price": st.none() | models.map(lambda model: model.model_dump(exclude_none=True)),
        "prices": st.lists(
            models.map(lambda model: {"when": {"g": "a"}, "price": model.model_dump(exclude_none=True)}),
            max_size=1,
        ),
        "other": st.none() | models.map(lambda model: model.model_dump(exclude_none=True)),
        "minimum": limits,
        "maximum": limits,
    }
) | st.fixed_dictionaries({"flat": amounts(30 * 10**6)})


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    drawn = draw(st.lists(charges, min_size=1, max_size=3))
    given_charges = [
        {name: value for name, value in {"name": f"c{place}", **charge}.items() if value is not None}
        for place, charge in enumerate(drawn)
    ]
    for charge in given_charges:
        if "minimum" in charge and "maximum" in charge:
            charge["maximum"] = str(max(Fraction(charge["minimum"]), Fraction(charge["maximum"])).__ceil__())
        if "flat" not in charge and not charge.get("price") and not charge["prices"]:
            charge["price"] = {"model": "per_unit", "unit_price": "1"}
    rounding = {
        "places": draw(st.integers(0, 4)),
        "mode": draw(st.sampled_from(get_args(RoundingMode))),
        "at": draw(st.sampled_from(["line", "total"])),
    }
    terms: dict[str, Any] = {
        "name": "p",
        "currency": "EUR",
        "rounding": rounding,
        "charges": given_charges,
        "prorate": draw(st.booleans()),
    }
    minimum = draw(limits)
    return Plan.model_validate(terms if minimum is None else {**terms, "minimum": minimum})


@given(
    plans(),
    st.sampled_from(SHARES),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(GROUPS), quarters(-20, 80)), max_size=8),
)
def test_both_come_to_the_same(
    plan: Plan,
    share: Fraction,
    is_first: bool,  # noqa: FBT001 - drawn
    used: list[tuple[int, tuple[str | None] | None, Fraction]],
) -> None:
    usage: dict[str, dict[tuple[str | None] | None, tuple[Fraction, int]]] = {}
    uses: dict[str, list[Use]] = {charge.name: [] for charge in plan.metered}
    for place, group, quantity in used:
        name = f"c{place}"
        if name in uses:
            before, events = usage.setdefault(name, {}).get(group, (Fraction(0), 0))
            usage[name][group] = before + quantity, events + 1
            uses[name].append(Use("s", "sum", group, group, 0, 1, quantity, None, 0, events))
    expected = price_segment(
        plan,
        Portion(share, is_first),
        {
            name: [
                Usage(None if group is None else {"g": group[0]}, quantity, events)
                for group, (quantity, events) in of_charge.items()
            ]
            for name, of_charge in usage.items()
        },
    )
    spans = {name: [Span("sum", DAY_US, 0, DAY_US)] for name in uses}
    found: Segment = reprice(plan.definition(), share, is_first, 0, DAY_US, uses, spans)
    assert (found.unrounded, found.amount) == (expected.unrounded_amount, expected.amount)
    assert [charge.name for charge in found.charges] == [charge.charge for charge in expected.charges]
    for again, charge in zip(found.charges, expected.charges, strict=True):
        assert (again.unrounded, again.amount) == (charge.unrounded_amount, charge.amount)
        lines = {
            None if line.group is None else tuple(line.group.values()): (
                line.quantity,
                line.events,
                line.billable,
                line.price,
                line.unrounded_amount,
                line.amount,
            )
            for line in charge.lines
        }
        assert lines == {
            line.group: (line.quantity, line.events, line.billable, line.price, line.unrounded, line.amount)
            for line in again.lines
            if line.price is not None
        }
