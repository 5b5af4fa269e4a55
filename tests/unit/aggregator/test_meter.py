"""What a meter reads of an event's data, and what it says of data it cannot read."""

from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest

from aggregator.meter import Meter, MeterRefused, compile_meter
from schemas.catalog import load_catalog
from schemas.wire import Event


def _meter(yaml: str) -> Meter:
    (meter,) = load_catalog(
        f"meters:\n  - {{name: m, event_type: t, window: 1h, grace: 0s, {yaml}}}", "m"
    ).meters
    return compile_meter(1, "m", meter.definition())


def _event(values: dict[str, Any]) -> Event:
    return Event("1", "/s", "t", "subject", 0, values, msgspec.Raw(b"{}"))


def _read(yaml: str, values: dict[str, Any]) -> Any:
    columns = _meter(yaml).read([_event(values)])
    return columns.refused[0].code if columns.refused else (columns.values[0], columns.groups.of(0))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (7, 7),
        (Decimal("0.10"), Decimal("0.10")),
        ("12345678901234567890123456789012345678", 12345678901234567890123456789012345678),
        ("-0.5", Decimal("-0.5")),
        (None, "value_missing"),
        (True, "value_not_number"),
        ([1], "value_not_number"),
        ("seven", "value_not_number"),
        ("NaN", "value_not_number"),
        ("1" * 39, "value_out_of_range"),
        ("1e40", "value_out_of_range"),
    ],
)
def test_a_number_is_exact_or_refused_with_its_reason(value: object, read: object) -> None:
    expected = read if isinstance(read, str) else (read, ())
    assert _read("aggregation: sum, value: n", {"n": value}) == expected


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("large", "large"),
        (None, None),
        (1, "1"),
        (Decimal("1.0"), "1"),
        (Decimal("0.50"), "0.5"),
        (True, "true"),
        ({"a": 1}, "group_not_scalar"),
        ([], "group_not_scalar"),
        ("x" * 256, "x" * 256),
        ("x" * 257, "group_too_long"),
    ],
)
def test_a_group_is_the_one_text_of_a_scalar(value: object, read: str | None) -> None:
    expected: object = (None, (read,)) if read is None or not read.startswith("group_") else read
    assert _read("aggregation: count, group_by: [g]", {"g": value}) == expected


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("a", "a"),
        (3, "3"),
        (None, "member_missing"),
        ([], "member_not_scalar"),
        ("x" * 257, "member_too_long"),
    ],
)
def test_a_member_is_the_one_text_of_a_scalar(value: object, read: str) -> None:
    expected = read if read.startswith("member_") else (read, ())
    assert _read("aggregation: unique, value: u", {"u": value}) == expected


def test_paths_reach_into_the_data() -> None:
    yaml = "aggregation: max, value: usage.tokens.in, group_by: [model.name, region]"
    values = {"usage": {"tokens": {"in": 5}}, "model": {"name": "m"}, "region": "eu"}

    assert _read(yaml, values) == (5, ("m", "eu"))
    assert _read(yaml, {"usage": {"tokens": 5}}) == "value_missing"
    assert _read(yaml, {"usage": {"tokens": {"in": 5}}, "model": "m"}) == (5, (None, None))


def test_a_filter_compares_texts_and_all_paths_must_match() -> None:
    meter = _meter("aggregation: count, filter: {tier: [1, true], model.name: [a, b]}")
    events = [
        _event({"tier": 1, "model": {"name": "a"}}),
        _event({"tier": "1", "model": {"name": "c"}}),
        _event({"tier": True, "model": {"name": "b"}}),
        _event({"model": {"name": "b"}}),
    ]

    assert meter.applying(events, np.arange(4)).tolist() == [0, 2]


def test_one_bad_row_leaves_the_others_alone() -> None:
    columns = _meter("aggregation: sum, value: n, group_by: [g]").read(
        [_event({"n": 1, "g": "a"}), _event({"n": "x", "g": "a"}), _event({"n": 3, "g": {}})]
    )

    assert {row: refused.code for row, refused in columns.refused.items()} == {
        1: "value_not_number",
        2: "group_not_scalar",
    }
    assert isinstance(columns.refused[1], MeterRefused)
    assert (columns.values[0], columns.groups.of(0)) == (1, ("a",))
