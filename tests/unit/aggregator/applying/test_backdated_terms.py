"""Which versions correct what is rated, against a look at every hour; and what no promotion may change."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle.logs import StoredVersion

from aggregator.applying.backdated_terms import BackdatedTerms, backdated_terms
from aggregator.applying.billing_change import BillingState, Wanted, applied
from aggregator.rating.terms import PlanVersion, SubscriptionVersion, in_force
from schemas.catalog import load_catalog
from schemas.instant import HOUR_US, parse_time_us
from schemas.plan import Plan

HORIZON = 9  # hours


class Spoken(NamedTuple):
    effective: int | None
    price: int | None  # None: retired


histories = st.tuples(
    st.builds(Spoken, st.none(), st.integers(1, 3)),
    st.lists(
        st.builds(Spoken, st.none() | st.integers(0, HORIZON), st.none() | st.integers(1, 3)), max_size=4
    ),
).map(lambda found: [found[0], *found[1]])


def at(history: Sequence[Spoken], hour: int) -> int | None:
    """What the newest version that has begun says."""
    return [one for one in history if one.effective is None or one.effective <= hour][-1].price


def plan(price: int) -> Plan:
    fields = {"name": "pro", "currency": "EUR", "rounding": {"places": 2}}
    return Plan.model_validate(fields | {"charges": [{"name": "base", "flat": price}]})


def stored(history: Sequence[Spoken]) -> list[PlanVersion]:
    found: list[PlanVersion] = []
    for number, one in enumerate(history, 1):
        terms = found[-1].terms if one.price is None else plan(one.price)
        effective_us = None if one.effective is None else one.effective * HOUR_US
        found.append(PlanVersion(number, number, effective_us, one.price is None, terms))
    return found


@given(histories, st.integers(1, 3), st.none() | st.integers(0, HORIZON), st.integers(0, HORIZON))
def test_a_file_holds_from_its_instant_and_what_was_planned_follows(
    history: list[Spoken], price: int, start: int | None, counted: int
) -> None:
    versions = stored(history)
    state = BillingState({}, {"pro": versions}, {}, {})
    start_us = None if start is None else start * HOUR_US
    found = backdated_terms(state, [], Wanted(plans=[plan(price)]), start_us, counted * HOUR_US)
    assert found.refusals == []
    assert [one.version for one in found.changes] == [
        number for number, _ in enumerate(found.changes, len(history) + 1)
    ]
    spans = in_force(applied(state, found.changes).plans["pro"])
    begun = 0 if start is None else start
    is_right = all(at(history, hour) == price for hour in range(begun, counted + 1))
    if begun > counted or (is_right and (start is not None or at(history, -1) == price)):
        assert not found.changes
    for hour in range(-1, HORIZON + 3):
        hour_us = hour * HOUR_US
        holds = [
            int(str(span.version.terms.definition()["charges"][0]["flat"]))  # type: ignore[index]
            for span in spans
            if (span.start_us is None or span.start_us <= hour_us)
            and (span.end_us is None or hour_us < span.end_us)
        ]
        assert holds == [one for one in [expected(history, price, start, counted, hour)] if one is not None]


def expected(history: Sequence[Spoken], price: int, start: int | None, counted: int, hour: int) -> int | None:
    """What the file says; before it and where something planned has begun since, what was said before."""
    if start is not None and (hour < start or start > counted):
        return at(history, hour)
    holds = [one for one in history if one.effective is None or one.effective <= hour][-1]
    return holds.price if holds.effective is not None and holds.effective > counted else price


METERS = """
meters:
  - {name: tokens, event_type: call, aggregation: sum, value: n, group_by: [model], window: 1h, grace: 30m}
"""
TERMS = """
plans:
  - name: pro
    currency: USD
    rounding: {places: 2}
    charges: [{name: input, meter: tokens, price: {model: per_unit, unit_price: 3}}]
  - name: free
    currency: USD
    rounding: {places: 2}
    charges: [{name: base, flat: 0}]
subscriptions:
  - {name: acme, customer: acme, subjects: [acme-eu], plan: pro, start: 2026-01-01T00:00:00Z,
     billing_period: month}
  - {name: bolt, customer: bolt, subjects: [bolt-eu], plan: pro, start: 2026-01-01T00:00:00Z,
     billing_period: month}
"""
COUNTED_US = parse_time_us("2026-02-10T00:00:00Z")


def backdate(text: str, effective_from: str | None = None) -> BackdatedTerms:
    meters = [
        StoredVersion(number, one.name, 1, one.definition())
        for number, one in enumerate(load_catalog(METERS, "m").meters or [], 1)
    ]
    said = load_catalog(TERMS, "t")
    state = BillingState(
        {},
        {one.name: [PlanVersion(1, 1, None, retired=False, terms=one)] for one in said.plans or []},
        {
            one.name: [SubscriptionVersion(1, 1, None, retired=False, terms=one)]
            for one in said.subscriptions or []
        },
        {},
    )
    file = load_catalog(text, "right.yaml")
    wanted = Wanted(file.meters, file.plans, file.subscriptions, is_whole=False)
    start_us = None if effective_from is None else parse_time_us(effective_from)
    return backdated_terms(state, meters, wanted, start_us, COUNTED_US)


def test_what_the_file_does_not_name_stays() -> None:
    text = TERMS.replace("unit_price: 3", "unit_price: 2")
    found = backdate(text[: text.index("subscriptions:")])
    assert [(one.name, one.version, one.effective_from_us) for one in found.changes] == [("pro", 2, None)]
    assert found.refusals == []
    found = backdate(text[text.index("subscriptions:") :].replace("acme-eu", "acme-us"))
    assert [(one.name, one.version) for one in found.changes] == [("acme", 2)]
    assert backdate(TERMS).changes == []


ACME, PRO = TERMS[TERMS.index("subscriptions:") :], TERMS[: TERMS.index("subscriptions:")]


@pytest.mark.parametrize(
    ("text", "effective_from", "codes"),
    [
        (PRO.replace("name: pro", "name: new"), None, {"terms_not_applied"}),
        (ACME.replace("name: acme", "name: acme-2"), None, {"terms_not_applied"}),
        (
            ACME.replace("billing_period: month", "billing_period: month, end: 2026-03-01T00:00:00Z"),
            None,
            {"lifetime_changed"},
        ),
        (ACME.replace("customer: acme", "customer: other"), None, {"fixed_field_changed"}),
        (ACME.replace("billing_period: month", "billing_period: day"), None, {"fixed_field_changed"}),
        (ACME.replace("bolt-eu", "acme-eu"), None, {"already_charged"}),
        (PRO.replace("currency: USD", "currency: EUR"), None, {"currency_differs"}),
        (PRO.replace("meter: tokens", "meter: tokens, group_by: [zone]"), None, {"unknown_group"}),
        (PRO.replace("meter: tokens", "meter: words"), None, {"unknown_meter"}),
        (
            PRO.replace("unit_price: 3", "unit_price: 2"),
            "2026-01-05T00:30:00Z",
            {"effective_from_not_aligned"},
        ),
        (ACME.replace("plan: pro", "plan: none"), None, {"unknown_plan"}),
    ],
)
def test_what_names_a_period_or_breaks_a_rule_is_refused(
    text: str, effective_from: str | None, codes: set[str]
) -> None:
    assert {one.code for one in backdate(text, effective_from).refusals} == codes
