"""What applying a catalog may change, and from when."""

from dataclasses import replace

import pytest
from oracle.logs import METER_IDS, METERS_YAML, MINUTE_US, RULES, START_US, StoredVersion

from aggregator.applying.catalog_plan import ChangeKind, Plan, plan
from schemas.catalog import load_catalog

HOUR_US = 60 * MINUTE_US
TOKENS = """
meters:
  - {name: tokens, event_type: call, aggregation: sum, value: n, group_by: [model], window: 1h, grace: 30m}
"""


def _plan(
    text: str,
    stored: list[StoredVersion],
    frontiers: list[int | None],
    effective_from_us: int | None = None,
) -> Plan:
    return plan(stored, load_catalog(text, "meters.yaml").meters, frontiers, RULES, effective_from_us)


def _stored(effective_from_us: int | None = None) -> list[StoredVersion]:
    return [
        StoredVersion(METER_IDS[meter.name], meter.name, 1, meter.definition(), effective_from_us)
        for meter in load_catalog(TOKENS, "meters.yaml").meters
    ]


def test_before_the_first_record_meters_count_from_the_beginning() -> None:
    planned = _plan(METERS_YAML, [], [None, None])

    assert not planned.errors
    assert {change.kind for change in planned.changes} == {ChangeKind.NEW}
    assert {change.effective_from_us for change in planned.changes} == {None}
    assert [change.version for change in planned.changes] == [1] * len(METER_IDS)


def test_the_same_file_again_changes_nothing() -> None:
    planned = _plan(TOKENS, _stored(), [START_US, None])

    assert [change.kind for change in planned.changes] == [ChangeKind.UNCHANGED]
    assert not planned.effects


def test_a_change_takes_effect_on_the_next_boundary_after_every_frontier_and_skew() -> None:
    planned = _plan(TOKENS.replace("30m", "15m"), _stored(), [START_US + 56 * MINUTE_US, START_US])

    assert [change.kind for change in planned.effects] == [ChangeKind.CHANGED]
    assert planned.effects[0].version == 2
    assert (
        planned.effects[0].effective_from_us == START_US + 2 * HOUR_US
    )  # 56 min + 5 min of skew is past 1 h
    assert [(d.field, d.before, d.after) for d in planned.effects[0].differences] == [("grace", "30m", "15m")]


def test_the_boundary_is_one_of_old_and_new_windows() -> None:
    planned = _plan(TOKENS.replace("window: 1h", "window: 1d"), _stored(), [START_US])

    assert planned.effects[0].effective_from_us is not None
    assert planned.effects[0].effective_from_us % (24 * HOUR_US) == 0


@pytest.mark.parametrize(
    ("effective_from_us", "code"),
    [
        (START_US + 2 * HOUR_US + 1, "effective_from_not_aligned"),
        (START_US, "effective_from_too_early"),
        (START_US + 2 * HOUR_US, None),
    ],
)
def test_an_instant_asked_for_must_be_possible(effective_from_us: int, code: str | None) -> None:
    changed = TOKENS.replace("30m", "15m")

    planned = _plan(changed, _stored(), [START_US + HOUR_US], effective_from_us)

    assert [error.code for error in planned.errors] == ([] if code is None else [code])


def test_a_version_never_takes_effect_before_the_last_one() -> None:
    stored = _stored(effective_from_us=START_US + 9 * HOUR_US)

    planned = _plan(TOKENS.replace("30m", "15m"), stored, [START_US])

    assert [error.code for error in planned.errors] == ["effective_from_before_last_version"]


def test_a_meter_that_is_not_named_is_retired_and_can_come_back() -> None:
    retired = _plan("meters: []", _stored(), [START_US])
    assert [change.kind for change in retired.effects] == [ChangeKind.RETIRED]

    stored = [*_stored(), replace(_stored()[0], meter_version_id=99, version=2, retired=True)]
    assert not _plan("meters: []", stored, [START_US]).effects
    back = _plan(TOKENS, stored, [START_US])
    assert [(change.kind, change.version) for change in back.effects] == [(ChangeKind.NEW, 3)]


def test_window_and_grace_must_fit_into_the_acceptance_window() -> None:
    planned = _plan(TOKENS.replace("30m", "3h"), [], [None])

    assert [error.code for error in planned.errors] == ["grace_too_long"]
    assert "3 h" in planned.errors[0].sentence
