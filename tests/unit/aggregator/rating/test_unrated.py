"""Usage that nobody pays for: what is put together, and what it would cost, against loops and a walk."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.aggregator.rating.prices import models, quarters, walked

from aggregator.rating.meters import MeterVersion
from aggregator.rating.pricing import Usage
from aggregator.rating.terms import PlanVersion, in_force
from aggregator.rating.unrated import (
    REASONS,
    Estimate,
    Reason,
    SeriesGap,
    amount_on,
    estimates,
    order_of,
    prices_of_today,
    unpaid,
)
from schemas.catalog import Meter
from schemas.plan import Plan
from schemas.price import MeteredCharge, PriceModel

HOUR_US = 3_600_000_000
EACH = {"model": "per_unit", "unit_price": 1}


def plan(*charges: Mapping[str, Any], name: str = "p", currency: str = "EUR") -> Plan:
    return Plan.model_validate(
        {
            "name": name,
            "currency": currency,
            "rounding": {"places": 2},
            "charges": [{"name": f"c{place}", **charge} for place, charge in enumerate(charges)],
        }
    )


def version(number: int, window: str = "1h", *groups: str) -> MeterVersion:
    meter = Meter(
        name="m",
        event_type="e",
        aggregation="sum",
        value="n",
        group_by={name: name for name in groups},
        window=window,  # type: ignore[arg-type]
        grace="0s",
    )
    return MeterVersion(number, number, meter, None, None)


def gap(subject: str, reason: Reason, start: int | None, first: int, last: int, **changes: Any) -> SeriesGap:
    one = SeriesGap(
        subject,
        1,
        (),
        reason,
        None if start is None else start * HOUR_US,
        first * HOUR_US,
        last * HOUR_US,
        events=1,
    )
    return one._replace(**changes)


def test_series_of_one_time_and_reason_are_one_row() -> None:
    versions = {1: version(1, "1h", "model"), 2: version(2, "1d", "region")}
    a, b = ("a",), ("b",)
    rows = unpaid(
        "m",
        versions,
        [
            gap("s", Reason.NO_CHARGE, 5, 6, 8, groups=a, events=3),
            gap("s", Reason.NO_SUBSCRIPTION, None, 1, 2, groups=a),
            gap("s", Reason.NO_CHARGE, 5, 5, 7, groups=b, events=4),
            gap("s", Reason.NO_CHARGE, 5, 24, 24, groups=None, meter_version_id=2),
            gap("r", Reason.NO_CHARGE, 5, 5, 7, groups=b),
            gap("r", Reason.NO_CHARGE, 9, 9, 9, meter_version_id=3),
        ],
        -1,
    )
    assert [
        (one.subject, one.reason.value, one.group, one.start_us // HOUR_US, one.end_us // HOUR_US, one.events)
        for one in rows
    ] == [
        ("r", "no_charge", {}, 5, 8, 1),
        ("s", "no_subscription", {}, 1, 3, 1),
        ("s", "no_charge", {}, 5, 48, 8),
    ]
    assert rows[2].series == {(1, a), (1, b), (2, None)}


def test_what_has_no_price_is_a_row_for_each_group() -> None:
    versions = {1: version(1, "1h", "model", "region"), 2: version(2, "1h", "region", "model")}
    rows = unpaid(
        "m",
        versions,
        [
            gap("s", Reason.NO_PRICE, 0, 0, 0, groups=("x", "eu")),
            gap("s", Reason.NO_PRICE, 0, 3, 3, groups=("eu", "x"), meter_version_id=2),
            gap("s", Reason.NO_PRICE, 0, 0, 0, groups=None),
            gap("s", Reason.NO_PRICE, 0, 0, 0, groups=(None, "eu")),
        ],
        -1,
    )
    assert [(one.group, one.events) for one in rows] == [
        ({"model": None, "region": "eu"}, 1),
        ({"model": "x", "region": "eu"}, 2),
        (None, 1),
    ]
    places = [one.place for one in rows]
    assert places == sorted(places, key=order_of)


@given(models, quarters(0, 200), models, quarters(0, 200))
def test_the_amount_is_what_a_walk_over_the_units_gives(
    one: PriceModel, used: Fraction, other: PriceModel, more: Fraction
) -> None:
    """Without what a plan includes, its minimum or its maximum; each charge for the meter, and no other."""
    pro = plan(
        {"meter": "m", "price": one, "included": 7, "minimum": 10**6},
        {"meter": "m", "group_by": ["g"], "prices": [{"when": {"g": "a"}, "price": other}]},
        {"meter": "another", "price": EACH},
        {"flat": 20},
    )
    lines = {"c0": [Usage({}, used, 1)], "c1": [Usage({"g": "a"}, more, 1)]}
    amount = amount_on(pro, "m", lambda charge: lines[charge.name])
    assert amount == walked(one, used) + walked(other, more)


@pytest.mark.parametrize(
    ("charges", "groups", "amount"),
    [
        ([{"price": EACH}], ["a", None], 2),
        ([{"prices": [{"when": {"g": "a"}, "price": EACH}]}], ["a"], 1),
        ([{"prices": [{"when": {"g": "a"}, "price": EACH}]}], ["a", "b"], None),
        ([{"prices": [{"when": {"g": text}, "price": EACH}]} for text in "ab"], ["a", "b"], 2),
        ([{"prices": [{"when": {"g": text}, "price": EACH}]} for text in "ab"], ["a", "b", "c"], None),
        ([{"price": EACH}], ["other"], None),
        ([{"price": EACH, "other": EACH}], ["other", "a"], 2),
    ],
)
def test_a_plan_that_lacks_a_price_has_no_amount(
    charges: Sequence[Mapping[str, Any]], groups: Sequence[str | None], amount: int | None
) -> None:
    pro = plan(*({"meter": "m", "group_by": ["g"], **charge} for charge in charges))

    def lines(_: MeteredCharge) -> list[Usage]:
        return [Usage(None if group == "other" else {"g": group}, Fraction(1), 1) for group in groups]

    assert amount_on(pro, "m", lines) == amount


@given(st.lists(st.tuples(st.sampled_from(["EUR", "USD", "JPY"]), st.fractions()), max_size=8))
def test_the_least_and_the_most_of_each_currency_are_named(priced: list[tuple[str, Fraction]]) -> None:
    plans = [
        (plan({"meter": "m", "price": EACH}, name=f"p{place}", currency=currency), amount)
        for place, (currency, amount) in enumerate(priced)
    ]
    expected = []
    for currency in sorted({currency for currency, _ in priced}):
        theirs = [(one.name, amount) for one, amount in plans if one.currency == currency]
        least = most = theirs[0]
        for one in theirs:
            least = one if one[1] < least[1] else least
            most = one if one[1] > most[1] else most
        expected.append(Estimate(currency, least[1], least[0], most[1], most[0]))
    assert estimates(plans) == expected


def test_prices_are_those_that_hold_at_the_log_time() -> None:
    def of(name: str, *starts: int | None, meter: str = "m", ends: int | None = None) -> Any:
        versions = [
            PlanVersion(
                number,
                number,
                us,
                retired=False,
                terms=plan({"meter": meter, "price": EACH}, name=f"{name}-{number}"),
            )
            for number, us in enumerate(starts, start=1)
        ]
        if ends is not None:
            last = versions[-1]
            versions.append(last._replace(version=last.version + 1, effective_from_us=ends, retired=True))
        return in_force(versions)

    plans = {
        "changed": of("changed", None, 10),
        "new": of("new", 10),
        "gone": of("gone", None, ends=10),
        "elsewhere": of("elsewhere", None, meter="another"),
    }
    assert [one.name for one in prices_of_today(plans, "m", 9)] == ["changed-1", "gone-1"]
    assert [one.name for one in prices_of_today(plans, "m", 10)] == ["changed-2", "new-1"]
    assert [one.name for one in prices_of_today(plans, "m", None)] == ["changed-2", "gone-1", "new-1"]


def test_every_reason_has_a_sentence() -> None:
    assert set(REASONS) == set(Reason)
