"""The recount that explains, against the oracle of the tests and against the fold: three ways, one answer."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from oracle.logs import (
    METER_IDS,
    METERS,
    METERS_YAML,
    RULES,
    SUBJECTS,
    fresh_state,
    logs,
    partition_of,
    record_of,
)
from oracle.logs import catalog as compiled
from oracle.recount import LoggedEvent, recount

from aggregator.batch import Batch
from aggregator.fold import fold
from aggregator.reading import read
from aggregator.state import Needs, supplied
from metering.explain.facts import recounted_window
from metering.explain.recount import Found, MeterRule, Recount, Topic
from schemas.catalog import load_catalog

NAMES = {version: name for name, version in METER_IDS.items()}
METER_RULES = [
    MeterRule.of(METER_IDS[meter.name], meter.name, meter.definition(), None, None)
    for meter in load_catalog(METERS_YAML, "meters.yaml").meters or []
]


def explained(log: Sequence[LoggedEvent], subjects: Sequence[str]) -> Found:
    topic = Topic(RULES.acceptance_window_us, RULES.skew_us, RULES.repair_horizon_us, partition_of)
    counting = Recount(0, topic, METER_RULES, subjects, None, {}, ())
    for logged in log:
        counting.take(record_of(logged))
    return counting.found


@given(logs(), st.lists(st.sampled_from(SUBJECTS), unique=True))
def test_it_finds_what_the_oracle_finds_of_the_subjects_asked_for(
    log: list[LoggedEvent], subjects: list[str]
) -> None:
    found = explained(log, subjects)
    expected = recount(
        log,
        METERS,
        partition=0,
        partition_of=partition_of,
        acceptance_window_us=RULES.acceptance_window_us,
        skew_us=RULES.skew_us,
        repair_horizon_us=RULES.repair_horizon_us,
    )
    windows = {
        (
            NAMES[key.meter_version_id],
            key.subject,
            "other" if key.groups is None else key.groups,
            key.start_us,
        ): [(event.time_us, event.offset, event.value) for event in events]
        for key, events in found.windows.items()
    }
    assert windows == {key: points for key, points in expected.windows.items() if key[1] in subjects}
    beside: dict[str, list[Any]] = {"late": [], "void": []}
    for (offset, version), one in found.beside.items():
        groups = "other" if one.key.groups is None else one.key.groups
        value = -one.value if one.kind == "void" and NAMES[version] == "tokens" else one.value  # type: ignore[operator]
        beside[one.kind].append((offset, NAMES[version], one.key.subject, groups, one.key.start_us, value))
    assert sorted(beside["late"], key=str) == sorted(
        (row for row in expected.adjustments if row[2] in subjects), key=str
    )
    assert sorted(row[:5] for row in beside["void"]) == sorted(
        row[:5] for row in expected.voids if row[2] in subjects
    )


@given(logs())
def test_its_facts_of_a_window_are_what_the_fold_writes(log: list[LoggedEvent]) -> None:
    found = explained(log, SUBJECTS)
    if not log:
        return
    end = log[-1].offset + 1
    batch = folded(log, end)
    kinds = {meter.name: meter.aggregation for meter in METERS}
    assert set(found.windows) == set(batch.increments)
    for key, increment in batch.increments.items():
        facts = recounted_window(kinds[NAMES[key.meter_version_id]], found.windows[key])  # type: ignore[index]
        assert facts["events"] == increment.events
        assert facts["value"] == increment.value
        assert (facts["first_offset"], facts["last_offset"]) == (
            increment.first_offset,
            increment.last_offset,
        )
        assert (facts["value_time_us"], facts["value_offset"]) == (
            increment.value_time_us,
            increment.value_offset,
        )
        assert set(facts["members"]) == (increment.members or set())
    times = {(row.offset, row.key.meter_version_id): row.frontier_us for row in batch.adjustments}
    assert {place: one.log_time_us for place, one in found.beside.items()} == times


def folded(log: Sequence[LoggedEvent], end: int) -> Batch:
    state, reading = fresh_state(0), read(0, 0, end, [record_of(logged) for logged in log])
    while isinstance(result := fold(reading, state, compiled()), Needs):
        archive = dict.fromkeys(result.archive_hours, b"")
        groups = dict.fromkeys(result.group_keys, frozenset[tuple[str | None, ...]]())
        state = supplied(state, archive, groups)
    return result
