"""Meters as people write them: read, stored, or refused at their line."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog import CatalogDocument, CatalogError, Meter, duration_s, format_duration, load_catalog
from schemas.document import DocumentCode

HEAD = "meters:\n  - name: tokens\n    event_type: call\n"
REST = "    aggregation: sum\n    value: n\n    window: 1h\n    grace: 1h\n"


def meter(**changes: object) -> Meter:
    fields: dict[str, object] = {
        "name": "tokens",
        "event_type": "call",
        "aggregation": "sum",
        "value": "usage.n",
        "window": "1h",
        "grace": "15m",
    }
    fields |= changes
    given_fields = {name: value for name, value in fields.items() if value is not None}
    return load_catalog(json.dumps({"meters": [given_fields]}), "meters.yaml").meters[0]


def problems(text: str) -> list[tuple[int, str, DocumentCode]]:
    with pytest.raises(CatalogError) as error:
        load_catalog(text, "meters.yaml")
    return [(line, path, code) for line, _, path, code, _ in error.value.problems]


def test_a_meter_is_read_whole() -> None:
    text = """\
meters:
  - name: input_tokens
    description: Tokens that a model read.
    unit: tokens
    event_type: llm.completion
    filter: {model.name: [large, small], cached: [false], tier: [1, 2.50]}
    aggregation: sum
    value: usage.input
    group_by: {model: model.name, region: region}
    window: 15m
    grace: 90m
    cardinality_limit: 50
"""
    one = load_catalog(text, "meters.yaml").meters[0]
    assert (one.name, one.unit, one.event_type, one.value) == (
        "input_tokens",
        "tokens",
        "llm.completion",
        "usage.input",
    )
    assert one.filter == {"model.name": ["large", "small"], "cached": ["false"], "tier": ["1", "2.5"]}
    assert list(one.group_by.items()) == [("model", "model.name"), ("region", "region")]
    assert (one.window_us, one.grace_us) == (900_000_000, 5_400_000_000)
    assert one.cardinality_limit == 50


def test_what_need_not_be_said() -> None:
    one = meter()
    assert (one.filter, one.group_by, one.cardinality_limit, one.unit) == ({}, {}, 1000, None)


def test_a_list_of_paths_names_groups_by_their_paths() -> None:
    assert meter(group_by=["model.name", "region"]).group_by == {
        "model.name": "model.name",
        "region": "region",
    }


def test_filters_compare_as_texts() -> None:
    assert meter(filter={"a": [1, 1.0, "1"]}).filter == {"a": ["1"]}
    assert meter(filter={"a": [True, "true"]}).filter == {"a": ["true"]}


paths = st.from_regex(r"[a-zé_]{1,5}(\.[a-zé_]{1,5}){0,2}", fullmatch=True)
scalars = st.booleans() | st.integers(-(10**38) + 1, 10**38 - 1) | st.text(max_size=3)
meters = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[a-z][a-z0-9_-]{0,63}", fullmatch=True),
        "event_type": st.text("abc.é", min_size=1),
        "window": st.sampled_from(["1m", "5m", "15m", "1h", "1d"]),
        "grace": st.builds("{}{}".format, st.integers(0, 10**7), st.sampled_from("smhd")),
    },
    optional={
        "description": st.text(max_size=5),
        "filter": st.dictionaries(paths, st.lists(scalars, min_size=1), max_size=3),
        "group_by": st.lists(paths, unique=True, max_size=8) | st.dictionaries(paths, paths, max_size=8),
        "cardinality_limit": st.integers(1, 10**6),
    },
)
values = st.one_of(
    st.just({"aggregation": "count"}),
    st.fixed_dictionaries(
        {"aggregation": st.sampled_from(["sum", "min", "max", "last", "unique"]), "value": paths}
    ),
)


@given(meters, values)
def test_a_definition_gives_its_meter_back(fields: dict[str, Any], value: dict[str, str]) -> None:
    one = CatalogDocument.model_validate({"meters": [fields | value]}).meters[0]
    stored = json.loads(json.dumps(one.definition(), sort_keys=True))  # as jsonb, which forgets it
    again = Meter.from_definition(stored)
    assert again == one
    assert list(again.group_by.items()) == list(one.group_by.items())
    assert again.definition() == one.definition()


def test_one_meaning_has_one_definition() -> None:
    one = meter(grace="60m", filter={"b": ["y", "x"], "a": ["1"]}, group_by=["model"])
    other = meter(grace="1h", filter={"a": [1], "b": ["x", "y", "x"]}, group_by={"model": "model"})
    assert json.dumps(one.definition()) == json.dumps(other.definition())


def test_the_order_of_groups_has_a_meaning() -> None:
    assert meter(group_by=["a", "b"]).definition() != meter(group_by=["b", "a"]).definition()


@pytest.mark.parametrize(
    ("line", "path", "code"),
    [
        ("    vlaue: m\n", "meters[0].vlaue", DocumentCode.UNKNOWN_KEY),
        ("    unit: 5\n", "meters[0].unit", DocumentCode.WRONG_TYPE),
        ("    cardinality_limit: 0\n", "meters[0].cardinality_limit", DocumentCode.NOT_ALLOWED),
        ("    cardinality_limit: 1.5\n", "meters[0].cardinality_limit", DocumentCode.WRONG_TYPE),
        ("    cardinality_limit: true\n", "meters[0].cardinality_limit", DocumentCode.WRONG_TYPE),
        ("    filter: {a..b: [1]}\n", "meters[0].filter.a..b", DocumentCode.NOT_ALLOWED),
        ("    filter: {a: x}\n", "meters[0].filter.a", DocumentCode.WRONG_TYPE),
        ("    filter: {a: []}\n", "meters[0].filter.a", DocumentCode.NOT_ALLOWED),
        ("    filter: {a: [[1]]}\n", "meters[0].filter.a[0]", DocumentCode.WRONG_TYPE),
        ("    filter: {a: [null]}\n", "meters[0].filter.a[0]", DocumentCode.WRONG_TYPE),
        ("    group_by: model\n", "meters[0].group_by", DocumentCode.WRONG_TYPE),
        ("    group_by: [a, a]\n", "meters[0].group_by", DocumentCode.NOT_ALLOWED),
        ("    group_by: {'a b': c}\n", "meters[0].group_by.a b", DocumentCode.NOT_ALLOWED),
        ("    group_by: [a, b, c, d, e, f, g, h, i]\n", "meters[0].group_by", DocumentCode.NOT_ALLOWED),
    ],
)
def test_a_line_that_is_wrong_is_named(line: str, path: str, code: DocumentCode) -> None:
    assert problems(HEAD + line + REST) == [(4, path, code)]


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "code"),
    [
        ("name: tokens", "name: Tokens", 2, "meters[0].name", DocumentCode.NOT_ALLOWED),
        ("name: tokens", f"name: {'x' * 65}", 2, "meters[0].name", DocumentCode.NOT_ALLOWED),
        ("event_type: call", "event_type: ''", 3, "meters[0].event_type", DocumentCode.NOT_ALLOWED),
        ("aggregation: sum", "aggregation: avg", 4, "meters[0].aggregation", DocumentCode.NOT_ALLOWED),
        ("window: 1h", "window: 2h", 6, "meters[0].window", DocumentCode.NOT_ALLOWED),
        ("grace: 1h", "grace: 1 h", 7, "meters[0].grace", DocumentCode.NOT_ALLOWED),
        ("grace: 1h", "grace: 3600", 7, "meters[0].grace", DocumentCode.WRONG_TYPE),
        ("    value: n\n", "", 2, "meters[0]", DocumentCode.VALUE_REQUIRED),
        ("aggregation: sum", "aggregation: count", 2, "meters[0]", DocumentCode.VALUE_FORBIDDEN),
        ("    window: 1h\n", "", 2, "meters[0].window", DocumentCode.MISSING_KEY),
    ],
)
def test_a_value_that_is_wrong_is_named(old: str, new: str, line: int, path: str, code: DocumentCode) -> None:
    assert problems((HEAD + REST).replace(old, new)) == [(line, path, code)]


def test_every_problem_of_a_file_is_named_at_once() -> None:
    text = (HEAD + REST).replace("1h", "7h") + (HEAD + REST).removeprefix("meters:\n").replace("call", "''")
    assert [line for line, *_ in problems(text)] == [6, 9]


def test_two_meters_of_one_name_are_refused_at_the_second() -> None:
    text = HEAD + REST + (HEAD + REST).removeprefix("meters:\n")
    assert problems(text) == [(8, "meters[1].name", DocumentCode.DUPLICATE_METER)]


@pytest.mark.parametrize("text", ["", "- tokens", "meters", "meters: 5"])
def test_what_is_no_catalog_at_all(text: str) -> None:
    [(line, _, code)] = problems(text)
    assert (line, code) == (1, DocumentCode.WRONG_TYPE)


def test_a_slip_of_the_pen_is_guessed() -> None:
    with pytest.raises(CatalogError, match="did you mean `aggregation`"):
        load_catalog(HEAD + REST.replace("aggregation", "agregation"), "meters.yaml")


@given(st.integers(0, 10**9))
def test_durations_read_back(seconds: int) -> None:
    assert duration_s(format_duration(seconds)) == seconds


def test_durations_are_as_short_as_can_be() -> None:
    assert [format_duration(s) for s in (0, 59, 60, 5400, 7200, 172_800)] == [
        "0s",
        "59s",
        "1m",
        "90m",
        "2h",
        "2d",
    ]
