"""Price plans as people write them: read, stored, or refused at their line."""

import json
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog import CatalogDocument, CatalogError, load_catalog
from schemas.document import DocumentCode
from schemas.generate import json_schema
from schemas.plan import Plan, Rounding
from schemas.price import FlatCharge, Graduated, MeteredCharge, Package, PerUnit, Volume

PRO = """\
plans:
  - name: pro
    description: For teams.
    currency: USD
    rounding: {places: 2, mode: half_even, at: total}
    prorate: false
    minimum: 10.00
    maximum: 1e3
    charges:
      - name: base
        flat: 20.00
      - name: input
        meter: input_tokens
        group_by: [region, model]
        included: 100000
        price:
          model: graduated
          per: 1000000
          tiers: [{up_to: 1000000, unit_price: 3, flat: 1}, {unit_price: 2.5}]
        prices:
          - when: {model: code}
            price: {model: per_unit, per: 1000000, unit_price: 1.5}
          - when: {model: [chat, 1, 1.0], region: eu}
            price: {model: volume, tiers: [{unit_price: 0.1}]}
        other: {model: package, size: 100, unit_price: "0.000003"}
        minimum: 5
        maximum: 500
      - name: storage
        meter: stored
        rollup: integral
        per: hour
        price: {model: per_unit, unit_price: 0.01}
"""
HEAD = "plans:\n  - name: pro\n    currency: USD\n    rounding: {places: 2}\n    charges:\n"
FLAT = "      - name: base\n        flat: 1\n"
METERED = "      - name: calls\n        meter: calls\n        price: {model: per_unit, unit_price: 1}\n"
SCHEMA = jsonschema.Draft202012Validator(json_schema(CatalogDocument))


def read(text: str) -> Plan:
    plans = load_catalog(text, "plans.yaml").plans
    assert plans is not None
    return plans[0]


def problems(text: str) -> list[tuple[int, str, DocumentCode]]:
    with pytest.raises(CatalogError) as error:
        load_catalog(text, "plans.yaml")
    return [(line, path, code) for line, _, path, code, _ in error.value.problems]


def test_a_plan_is_read_whole() -> None:
    plan = read(PRO)
    assert (plan.currency, plan.minimum, plan.maximum, plan.prorate) == ("USD", 10, 1000, False)
    assert plan.rounding == Rounding(places=2, mode="half_even", at="total")
    base, tokens, storage = plan.charges
    assert isinstance(base, FlatCharge)
    assert base.flat == 20
    assert isinstance(tokens, MeteredCharge)
    assert tokens.group_by == ["model", "region"]
    assert (tokens.included, tokens.minimum, tokens.maximum) == (100_000, 5, 500)
    assert isinstance(tokens.price, Graduated)
    assert tokens.price.per == 1_000_000
    assert [(tier.up_to, tier.unit_price, tier.flat) for tier in tokens.price.tiers] == [
        (1_000_000, 3, 1),
        (None, Decimal("2.5"), 0),
    ]
    assert [one.when for one in tokens.prices] == [
        {"model": ["code"]},
        {"model": ["1", "chat"], "region": ["eu"]},
    ]
    assert [type(one.price) for one in tokens.prices] == [PerUnit, Volume]
    assert tokens.other == Package(model="package", size=Decimal(100), unit_price=Decimal("0.000003"))
    assert isinstance(storage, MeteredCharge)
    assert (storage.rollup, storage.per) == ("integral", "hour")
    assert plan.metered == [tokens, storage]
    SCHEMA.validate(yaml.safe_load(PRO.replace("1e3", "1000")))


def test_what_need_not_be_said() -> None:
    plan = read(HEAD + METERED)
    assert plan.rounding == Rounding(places=2, mode="half_up", at="line")
    assert (plan.prorate, plan.minimum, plan.maximum, plan.description) == (True, None, None, None)
    [charge] = plan.metered
    assert (charge.rollup, charge.per, charge.group_by, charge.included) == ("natural", None, [], 0)
    assert (charge.prices, charge.other, charge.minimum, charge.maximum) == ([], None, None, None)
    assert isinstance(charge.price, PerUnit)
    assert charge.price.per == 1


digits = st.integers(0, 10**38 - 1)
amounts = st.decimals(0, 10**9, places=6, allow_nan=False, allow_infinity=False) | digits
positives = st.integers(1, 10**38 - 1) | st.sampled_from([Decimal("0.5"), Decimal("1E-30")])
tiers = st.lists(st.integers(1, 10**9), unique=True, max_size=4).flatmap(
    lambda ends: st.lists(st.tuples(amounts, amounts), min_size=len(ends) + 1, max_size=len(ends) + 1).map(
        lambda prices: [
            {"unit_price": unit, "flat": flat} | ({} if end is None else {"up_to": end})
            for end, (unit, flat) in zip([*sorted(ends), None], prices, strict=True)
        ]
    )
)
prices = st.one_of(
    st.fixed_dictionaries({"model": st.just("per_unit"), "unit_price": amounts}, optional={"per": positives}),
    st.fixed_dictionaries({"model": st.sampled_from(["graduated", "volume"]), "tiers": tiers}),
    st.fixed_dictionaries({"model": st.just("package"), "size": positives, "unit_price": amounts}),
)
names = st.from_regex("[a-z][a-z0-9_-]{0,63}", fullmatch=True)
flats = st.fixed_dictionaries({"name": names, "flat": amounts})
metered = st.fixed_dictionaries(
    {
        "name": names,
        "meter": names,
        "group_by": st.just(["model", "region"]),
        "price": prices,
        "prices": st.dictionaries(st.text(max_size=3), prices, max_size=3).map(
            lambda each: [{"when": {"region": value}, "price": one} for value, one in each.items()]
        ),
    },
    optional={
        "included": amounts,
        "other": prices,
        "minimum": st.integers(0, 5),
        "maximum": st.integers(5, 9),
        "rollup": st.sampled_from(["natural", "p95", "avg", "sum_of_max", "time_average"]),
    },
)
plans = st.fixed_dictionaries(
    {
        "name": names,
        "currency": st.from_regex("[A-Z]{3}", fullmatch=True),
        "rounding": st.fixed_dictionaries(
            {"places": st.integers(0, 38)}, optional={"mode": st.sampled_from(["half_up", "floor"])}
        ),
        "charges": st.lists(flats | metered, min_size=1, max_size=3, unique_by=lambda one: one["name"]),
    },
    optional={"prorate": st.booleans(), "minimum": amounts, "description": st.text(max_size=5)},
)


@given(plans)
def test_a_definition_gives_its_plan_back(fields: dict[str, Any]) -> None:
    plan = Plan.model_validate(fields)
    stored = json.loads(json.dumps(plan.definition(), sort_keys=True))  # as jsonb, which forgets the order
    again = Plan.from_definition(stored)
    assert again == plan
    assert json.dumps(again.definition()) == json.dumps(plan.definition())


def test_one_meaning_has_one_definition() -> None:
    one = read(HEAD + METERED + "        group_by: [b, a]\n        included: 1e2\n")
    other = read(HEAD + METERED + "        group_by: [a, b, a]\n        included: '100.00'\n")
    assert json.dumps(one.definition()) == json.dumps(other.definition())


def test_numbers_keep_every_digit() -> None:
    price = "0.12345678901234567890123456789012345678"
    plan = read(HEAD + METERED.replace("unit_price: 1", f"unit_price: {price}"))
    assert plan.definition()["charges"][0]["price"]["unit_price"] == price
    assert Plan.from_definition(plan.definition()) == plan


def test_a_float_is_refused_and_its_text_is_not() -> None:
    fields = yaml.safe_load(HEAD + METERED)["plans"][0]
    fields["minimum"] = 0.25
    with pytest.raises(ValueError, match="send it as a text"):
        Plan.model_validate(fields)
    assert Plan.model_validate(fields | {"minimum": "0.25"}).minimum == Decimal("0.25")


@pytest.mark.parametrize(
    ("line", "path", "code"),
    [
        ("mimimum: 1", "mimimum", DocumentCode.UNKNOWN_KEY),
        ("minimum: -1", "minimum", DocumentCode.NOT_ALLOWED),
        ("minimum: true", "minimum", DocumentCode.WRONG_TYPE),
        ("minimum: [1]", "minimum", DocumentCode.WRONG_TYPE),
        ("minimum: cheap", "minimum", DocumentCode.NOT_ALLOWED),
        ("minimum: '0.1234567890123456789012345678901234567891'", "minimum", DocumentCode.NOT_ALLOWED),
        ("included: -1", "included", DocumentCode.NOT_ALLOWED),
        ("rollup: p99", "rollup", DocumentCode.NOT_ALLOWED),
        ("per: week", "per", DocumentCode.NOT_ALLOWED),
        ("group_by: model", "group_by", DocumentCode.WRONG_TYPE),
        ("group_by: [a b]", "group_by[0]", DocumentCode.NOT_ALLOWED),
        ("other: {unit_price: 1}", "other", DocumentCode.NOT_ALLOWED),
        ("other: {model: tiered}", "other", DocumentCode.NOT_ALLOWED),
        ("other: 5", "other", DocumentCode.NOT_ALLOWED),
        ("other: {model: per_unit}", "other.unit_price", DocumentCode.MISSING_KEY),
        ("other: {model: per_unit, unit_price: 1, per: 0}", "other.per", DocumentCode.NOT_ALLOWED),
        ("other: {model: per_unit, unit_price: 1, size: 2}", "other.size", DocumentCode.UNKNOWN_KEY),
        ("other: {model: package, size: 0, unit_price: 1}", "other.size", DocumentCode.NOT_ALLOWED),
        ("other: {model: volume, tiers: []}", "other.tiers", DocumentCode.NOT_ALLOWED),
        (
            "other: {model: volume, tiers: [{up_to: 5, unit_price: 1}]}",
            "other.tiers[0].up_to",
            DocumentCode.LAST_TIER_NOT_OPEN,
        ),
        (
            "other: {model: graduated, tiers: [{unit_price: 1}, {unit_price: 1}]}",
            "other.tiers[0]",
            DocumentCode.MISSING_KEY,
        ),
        (
            (
                "other: {model: graduated, tiers: "
                "[{up_to: 2, unit_price: 1}, {up_to: 2, unit_price: 1}, {unit_price: 1}]}"
            ),
            "other.tiers[1].up_to",
            DocumentCode.TIERS_NOT_ASCENDING,
        ),
        (
            "other: {model: graduated, tiers: [{up_to: 0, unit_price: 1}, {unit_price: 1}]}",
            "other.tiers[0].up_to",
            DocumentCode.NOT_ALLOWED,
        ),
        ("prices: [{when: {model: a}}]", "prices[0].price", DocumentCode.MISSING_KEY),
        (
            "prices: [{when: {}, price: {model: per_unit, unit_price: 1}}]",
            "prices[0].when",
            DocumentCode.NOT_ALLOWED,
        ),
        (
            "prices: [{when: {model: []}, price: {model: per_unit, unit_price: 1}}]",
            "prices[0].when.model",
            DocumentCode.NOT_ALLOWED,
        ),
        (
            "prices: [{when: {model: null}, price: {model: per_unit, unit_price: 1}}]",
            "prices[0].when.model[0]",
            DocumentCode.WRONG_TYPE,
        ),
    ],
)
def test_a_line_of_a_charge_that_is_wrong_is_named(line: str, path: str, code: DocumentCode) -> None:
    assert problems(HEAD + METERED + f"        {line}\n") == [(9, f"plans[0].charges[0].{path}", code)]


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "code"),
    [
        ("name: pro", "name: Pro", 2, "plans[0].name", DocumentCode.NOT_ALLOWED),
        ("USD", "usd", 3, "plans[0].currency", DocumentCode.NOT_ALLOWED),
        ("{places: 2}", "{places: -1}", 4, "plans[0].rounding.places", DocumentCode.NOT_ALLOWED),
        ("{places: 2}", "{places: 2.0}", 4, "plans[0].rounding.places", DocumentCode.WRONG_TYPE),
        ("{places: 2}", "{places: 2, mode: near}", 4, "plans[0].rounding.mode", DocumentCode.NOT_ALLOWED),
        ("{places: 2}", "{mode: up}", 4, "plans[0].rounding.places", DocumentCode.MISSING_KEY),
        ("    rounding: {places: 2}\n", "", 2, "plans[0].rounding", DocumentCode.MISSING_KEY),
        (FLAT + METERED, "      []\n", 5, "plans[0].charges", DocumentCode.NOT_ALLOWED),
        (FLAT, "      - base\n", 6, "plans[0].charges[0]", DocumentCode.WRONG_TYPE),
        (FLAT, FLAT + FLAT, 8, "plans[0].charges[1].name", DocumentCode.DUPLICATE_CHARGE),
        ("flat: 1", "flat: -1", 7, "plans[0].charges[0].flat", DocumentCode.NOT_ALLOWED),
        ("flat: 1", "falt: 1", 6, "plans[0].charges[0]", DocumentCode.MISSING_KEY),
        ("flat: 1", "flat: 1\n        meter: m", 6, "plans[0].charges[0]", DocumentCode.CONTRADICTION),
        ("        meter: calls\n", "", 8, "plans[0].charges[1]", DocumentCode.MISSING_KEY),
        (METERED[-50:], "\n", 8, "plans[0].charges[1]", DocumentCode.PRICE_REQUIRED),
    ],
)
def test_a_value_that_is_wrong_is_named(old: str, new: str, line: int, path: str, code: DocumentCode) -> None:
    text = HEAD + FLAT + METERED
    assert old in text
    assert problems(text.replace(old, new)) == [(line, path, code)]


@pytest.mark.parametrize(
    "line",
    [
        "rollup: integral",
        "per: hour",
        "{minimum: 5, maximum: 4}",
        "other: {model: per_unit, unit_price: 1}",
    ],
)
def test_what_contradicts_itself_is_refused(line: str) -> None:
    lines = yaml.safe_load(line)
    text = HEAD + METERED + "".join(f"        {key}: {json.dumps(value)}\n" for key, value in lines.items())
    assert problems(text) == [(6, "plans[0].charges[0]", DocumentCode.CONTRADICTION)]


def test_a_plans_maximum_is_not_below_its_minimum() -> None:
    assert problems(HEAD.replace("    charges", "    minimum: 2\n    maximum: 1.99\n    charges") + FLAT) == [
        (2, "plans[0]", DocumentCode.CONTRADICTION)
    ]


def whens(*whens: dict[str, object]) -> str:
    rules = [{"when": when, "price": {"model": "per_unit", "unit_price": 1}} for when in whens]
    return HEAD + METERED + f"        group_by: [a, b]\n        prices: {json.dumps(rules)}\n"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": 1}, {"a": "1"}),
        ({"a": ["x", "y"]}, {"a": ["y", "x", "y"]}),
        ({"a": ["x", "y"]}, {"a": "x"}),
        ({"a": "x"}, {"a": "x", "b": "y"}),
        ({"a": "x", "b": ["y", "z"]}, {"a": "x", "b": "y"}),
    ],
)
def test_a_price_that_no_usage_can_have_is_refused(
    first: dict[str, object], second: dict[str, object]
) -> None:
    assert problems(whens(first, second)) == [
        (10, "plans[0].charges[0].prices[1].when", DocumentCode.UNREACHABLE_PRICE)
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": "x"}, {"a": ["x", "y"]}),
        ({"a": "x", "b": "y"}, {"a": "x"}),
        ({"a": "x"}, {"b": "y"}),
    ],
)
def test_a_price_for_what_is_left_is_not(first: dict[str, object], second: dict[str, object]) -> None:
    assert len(read(whens(first, second)).metered[0].prices) == 2


def test_prices_are_by_groups_that_have_lines() -> None:
    assert problems(whens({"c": "x"})) == [
        (10, "plans[0].charges[0].prices[0].when.c", DocumentCode.CONTRADICTION)
    ]


def test_two_plans_of_one_name_are_refused_at_the_second() -> None:
    text = HEAD + FLAT
    assert problems(text + text.removeprefix("plans:\n")) == [
        (8, "plans[1].name", DocumentCode.DUPLICATE_PLAN)
    ]


def test_a_section_that_is_not_there_says_nothing() -> None:
    only_plans = load_catalog(HEAD + FLAT, "plans.yaml")
    assert only_plans.meters is None
    assert load_catalog("meters: []\n", "meters.yaml") == CatalogDocument(meters=[])
    assert problems("{}") == [(1, "", DocumentCode.MISSING_KEY)]
    assert problems("meters: []\nplans:\n") == [(2, "plans", DocumentCode.WRONG_TYPE)]


def test_a_slip_of_the_pen_is_guessed() -> None:
    with pytest.raises(CatalogError, match="did you mean `included`"):
        load_catalog(HEAD + METERED + "        inclded: 5\n", "plans.yaml")


@pytest.mark.parametrize(
    ("charge", "is_valid"),
    [
        ({"flat": 1}, True),
        ({"flat": "1.50"}, True),
        ({"flat": -1}, False),
        ({"flat": "-1"}, False),
        ({"flat": 1, "meter": "m"}, False),
        ({"meter": "m", "price": {"model": "per_unit", "unit_price": 1}}, True),
        ({"meter": "m", "price": {"model": "per_unit"}}, False),
        ({"meter": "m", "price": {"model": "package", "unit_price": 1}}, False),
        ({"meter": "m", "price": {"model": "volume", "tiers": []}}, False),
        ({"meter": "m", "price": {"model": "per_unit", "unit_price": 1, "per": 0}}, False),
    ],
)
def test_the_json_schema_agrees_with_the_model(charge: dict[str, object], *, is_valid: bool) -> None:
    plan = {"name": "p", "currency": "EUR", "rounding": {"places": 2}, "charges": [{"name": "c"} | charge]}
    assert SCHEMA.is_valid({"plans": [plan]}) == is_valid
    try:
        load_catalog(json.dumps({"plans": [plan]}), "plans.json")
    except CatalogError:
        assert not is_valid
    else:
        assert is_valid
