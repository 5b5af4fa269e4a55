"""Subscriptions as people write them: read, stored, or refused at their line."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog import CatalogError, load_catalog
from schemas.document import DocumentCode
from schemas.instant import format_time, parse_time_us
from schemas.subscription import Subscription

HEAD = "subscriptions:\n  - name: acme-pro\n    customer: acme\n"
REST = (
    "    subjects: [acme-us, acme-eu]\n    plan: pro\n    start: 2026-01-01T00:00:00+01:00\n"
    "    billing_period: month\n    timezone: Europe/Berlin\n"
)
FIELDS: dict[str, Any] = {
    "name": "acme-pro",
    "customer": "acme",
    "subjects": ["acme-eu"],
    "plan": "pro",
    "start": "2026-01-01T00:00:00+01:00",
    "billing_period": "month",
}


def subscription(**changes: object) -> Subscription:
    return Subscription.model_validate(FIELDS | changes)


def problems(text: str) -> list[tuple[int, str, DocumentCode]]:
    with pytest.raises(CatalogError) as error:
        load_catalog(text, "catalog.yaml")
    return [(line, path, code) for line, _, path, code, _ in error.value.problems]


def test_a_subscription_is_read_whole() -> None:
    text = HEAD + REST + "    end: 2027-01-01T00:00:00+01:00\n    anchor: 2026-01-15\n"
    text += (
        "    thresholds: [{charge: input, percent: 80}, {amount: 50.00}, {charge: input, percent: 80.0}]\n"
    )
    [one] = load_catalog(text, "catalog.yaml").subscriptions or []
    assert (one.name, one.customer, one.plan) == ("acme-pro", "acme", "pro")
    assert one.subjects == ["acme-eu", "acme-us"]
    assert one.start_us == parse_time_us("2025-12-31T23:00:00Z")
    assert one.end_us == parse_time_us("2026-12-31T23:00:00Z")
    assert one.local_anchor == datetime.fromisoformat("2026-01-15")
    assert [threshold.text for threshold in one.thresholds] == ["amount 50", "input 80%"]


def test_what_need_not_be_said() -> None:
    one = subscription()
    assert (one.end_us, one.timezone, one.thresholds) == (None, "UTC", [])
    assert one.local_anchor == datetime.fromisoformat("2025-12-31T23:00")
    assert subscription(timezone="Europe/Berlin").local_anchor == datetime.fromisoformat("2026-01-01")


def test_one_meaning_has_one_definition() -> None:
    one = subscription(
        timezone="Europe/Berlin",
        subjects=["b", "a", "b"],
        thresholds=[{"amount": 50}, {"charge": "a", "percent": 9}],
    )
    other = subscription(
        timezone="Europe/Berlin",
        subjects=["a", "b"],
        start="2025-12-31T23:00:00.000Z",
        anchor="2026-01-01T00:00:00",
        thresholds=[{"charge": "a", "percent": "9.0"}, {"amount": "5e1"}],
    )
    assert json.dumps(one.definition()) == json.dumps(other.definition())


instants = st.integers(0, parse_time_us("2999-12-31T00:00:00Z") - 1).map(format_time)
amounts = st.decimals("0.01", 10**6, places=2)
thresholds = st.builds(lambda amount: {"amount": amount}, amounts) | st.builds(
    lambda charge, percent: {"charge": charge, "percent": percent}, st.sampled_from("abc"), amounts
)


@given(
    st.fixed_dictionaries(
        {
            "customer": st.text("aé\U0001f600", min_size=1, max_size=5),
            "subjects": st.lists(st.text("abé", min_size=1), min_size=1, max_size=5),
            "start": instants,
            "billing_period": st.sampled_from(["hour", "day", "week", "month", "quarter", "year"]),
        },
        optional={
            "timezone": st.sampled_from(["Australia/Lord_Howe", "Africa/Cairo", "UTC"]),
            "anchor": st.sampled_from(["2026-01-31", "2026-01-31T06:00", "2026-01-31T06:00:00.5"]),
            "thresholds": st.lists(thresholds, max_size=4),
        },
    )
)
def test_a_definition_gives_its_subscription_back(fields: dict[str, Any]) -> None:
    one = subscription(**fields)
    stored = json.loads(json.dumps(one.definition()))
    again = Subscription.from_definition(stored)
    assert again.definition() == one.definition()
    assert again.local_anchor == one.local_anchor
    assert again.model_copy(update={"anchor": one.anchor}) == one


@pytest.mark.parametrize(
    ("line", "path", "code"),
    [
        ("    end: 2025-12-31T23:00:00Z\n", "subscriptions[0]", DocumentCode.CONTRADICTION),
        ("    end: 2027-01-01\n", "subscriptions[0].end", DocumentCode.NOT_ALLOWED),
        ("    end: 3000-01-01T00:00:00Z\n", "subscriptions[0].end", DocumentCode.NOT_ALLOWED),
        ("    anchor: 2026-02-30\n", "subscriptions[0].anchor", DocumentCode.NOT_ALLOWED),
        ("    anchor: 2026-02-01T00:00:00Z\n", "subscriptions[0].anchor", DocumentCode.NOT_ALLOWED),
        ("    anchor: 1969-12-31\n", "subscriptions[0].anchor", DocumentCode.NOT_ALLOWED),
        ("    thresholds: [{percent: 80}]\n", "subscriptions[0].thresholds[0]", DocumentCode.CONTRADICTION),
        (
            "    thresholds: [{charge: a, percent: 80, amount: 1}]\n",
            "subscriptions[0].thresholds[0]",
            DocumentCode.CONTRADICTION,
        ),
        (
            "    thresholds: [{amount: 0}]\n",
            "subscriptions[0].thresholds[0].amount",
            DocumentCode.NOT_ALLOWED,
        ),
        ("    tiemzone: UTC\n", "subscriptions[0].tiemzone", DocumentCode.UNKNOWN_KEY),
    ],
)
def test_a_line_that_is_wrong_is_named(line: str, path: str, code: DocumentCode) -> None:
    found = problems(HEAD + line + REST)
    assert found == [(2 if path.endswith("[0]") and "thresholds" not in path else 4, path, code)]


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "code"),
    [
        ("customer: acme", "customer: ''", 3, "customer", DocumentCode.NOT_ALLOWED),
        ("[acme-us, acme-eu]", "[]", 4, "subjects", DocumentCode.NOT_ALLOWED),
        ("[acme-us, acme-eu]", "['']", 4, "subjects[0]", DocumentCode.NOT_ALLOWED),
        ("plan: pro", "plan: Pro", 5, "plan", DocumentCode.NOT_ALLOWED),
        ("T00:00:00+01:00", "", 6, "start", DocumentCode.NOT_ALLOWED),
        ("T00:00:00+01:00", "T00:00:00", 6, "start", DocumentCode.NOT_ALLOWED),
        ("month", "months", 7, "billing_period", DocumentCode.NOT_ALLOWED),
        ("Europe/Berlin", "Europe/Berln", 8, "timezone", DocumentCode.NOT_ALLOWED),
        ("    plan: pro\n", "", 2, "plan", DocumentCode.MISSING_KEY),
    ],
)
def test_a_value_that_is_wrong_is_named(old: str, new: str, line: int, path: str, code: DocumentCode) -> None:
    assert problems((HEAD + REST).replace(old, new)) == [(line, f"subscriptions[0].{path}", code)]


def test_a_zone_that_is_misspelt_is_guessed() -> None:
    with pytest.raises(CatalogError, match="such as `Europe/Berlin`"):
        load_catalog(HEAD + REST.replace("Berlin", "Berln"), "catalog.yaml")


def test_two_subscriptions_of_one_name_are_refused_at_the_second() -> None:
    text = HEAD + REST + (HEAD + REST).removeprefix("subscriptions:\n")
    assert problems(text) == [(9, "subscriptions[1].name", DocumentCode.DUPLICATE_SUBSCRIPTION)]
