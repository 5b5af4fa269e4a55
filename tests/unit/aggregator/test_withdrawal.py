"""Voids: an event is taken back once, where it was counted, and never more than was counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from oracle.logs import (
    METER_IDS,
    METERS_YAML,
    MINUTE_US,
    OURS,
    RULES,
    START_US,
    StoredCatalog,
    StoredVersion,
    fresh_state,
    logs,
    partition_of,
    record_of,
)
from oracle.recount import HOUR_US, LoggedEvent, SpokenEvent
from unit.aggregator.folding import CATALOG, CUTS, Cut, fold_all

from aggregator.batch import Adjustment, Batch, Outcomes, Quarantined
from aggregator.catalog import Catalog, compile_catalog
from aggregator.fold import fold
from aggregator.reading import read
from aggregator.state import Needs
from schemas.catalog import load_catalog

EVENT = SpokenEvent("/a", "1", "call", OURS, START_US, {"n": 7, "model": "small"})
EVERYWHERE = [Cut(offset, is_restart=True) for offset in range(1, 20)]
in_any_batches = pytest.mark.parametrize(
    "cuts", [[], EVERYWHERE], ids=["in one batch", "a restart after each"]
)


def at(offset: int, event: SpokenEvent, *, after_us: int = 0, **kind: Any) -> LoggedEvent:
    return LoggedEvent(offset, START_US + after_us, event, **kind)


def void(offset: int, event: SpokenEvent, *, after_us: int = 0, **kind: Any) -> LoggedEvent:
    return at(offset, event, after_us=after_us, is_void=True, **kind)


def folded(
    log: Sequence[LoggedEvent], cuts: Sequence[Cut] = (), meters: Catalog = CATALOG, partition: int = 0
) -> list[Batch]:
    return fold_all([record_of(logged) for logged in log], cuts, fresh_state(partition), meters)


def outcomes(batches: Sequence[Batch]) -> Outcomes:
    return Outcomes(*map(sum, zip(*(batch.outcomes for batch in batches), strict=True)))


def refused(batches: Sequence[Batch]) -> list[tuple[int, str]]:
    """Offsets and codes of whole records."""
    return [(row.offset, row.code) for row in quarantined(batches) if row.meter_version_id is None]


def quarantined(batches: Sequence[Batch]) -> list[Quarantined]:
    return [row for batch in batches for row in batch.quarantined]


def voids(batches: Sequence[Batch]) -> list[Adjustment]:
    return [row for batch in batches for row in batch.adjustments if row.kind == "void"]


@given(logs(max_size=60), CUTS)
def test_nothing_is_taken_back_that_was_not_counted_and_nothing_twice(
    log: list[LoggedEvent], cuts: list[Cut]
) -> None:
    """Said without the oracle: what is left of each series and window is what was counted less some of it."""
    left: Counter[object] = Counter()
    events: Counter[object] = Counter()
    for batch in folded(log, cuts):
        for key, increment in batch.increments.items():
            events[key] += increment.events
            left.update((key, point.time_us, point.value) for point in increment.points or ())
        for row in batch.adjustments:
            is_gauge = row.key.meter_version_id == METER_IDS["level"]
            events[row.key] += row.events
            left[row.key, row.event_time_us, row.value] += row.events * is_gauge
        assert min(events.values(), default=0) >= 0
        assert min(left.values(), default=0) >= 0


@in_any_batches
def test_a_void_is_one_signed_row_for_each_meter_and_no_window_changes(cuts: list[Cut]) -> None:
    batches = folded([at(0, EVENT), void(5, EVENT, after_us=MINUTE_US)], cuts)

    assert outcomes(batches) == Outcomes(accepted=2, gap=4)
    assert sum(increment.events for batch in batches for increment in batch.increments.values()) == 7
    assert [
        (row.key[0], row.value, row.events, row.event_time_us, row.frontier_us) for row in voids(batches)
    ] == [
        (METER_IDS["tokens"], -7, -1, START_US, START_US + MINUTE_US),
        (METER_IDS["calls"], None, -1, START_US, START_US + MINUTE_US),
        (METER_IDS["level"], 7, -1, START_US, START_US + MINUTE_US),
    ]
    assert [(row.offset, row.code, row.meter_version_id) for row in quarantined(batches)] == [
        (5, "void_not_subtractable", METER_IDS[name]) for name in ("least", "most", "newest", "models")
    ]
    tallies = [
        tally
        for batch in batches
        for version, tally in batch.meters.items()
        if version == METER_IDS["tokens"]
    ]
    assert sum(tally.voids for tally in tallies) == 1
    assert sum(tally.void_sum for tally in tallies) == -7
    assert sum(tally.matched for tally in tallies) == 2


@in_any_batches
def test_a_second_void_is_a_duplicate_whatever_its_id(cuts: list[Cut]) -> None:
    """The records differ: each void of these logs has an id of its own."""
    batches = folded(
        [at(0, EVENT), void(1, EVENT), void(2, EVENT), void(3, EVENT, after_us=2 * HOUR_US)], cuts
    )

    assert outcomes(batches) == Outcomes(accepted=2, duplicate=2)
    assert len(voids(batches)) == 3


@in_any_batches
def test_a_void_before_its_event_is_refused_and_leaves_no_trace(cuts: list[Cut]) -> None:
    batches = folded([void(0, EVENT), at(1, EVENT), void(2, EVENT), at(3, EVENT)], cuts)

    assert outcomes(batches) == Outcomes(accepted=2, duplicate=1, quarantined=1)
    assert refused(batches) == [(0, "void_unmatched")]
    (row,) = [row for row in quarantined(batches) if row.offset == 0]
    assert (row.source, row.id, row.type, row.subject, row.time_us) == (
        *("/corrections", "0", "metering.control.void", OURS, START_US),
    )


@pytest.mark.parametrize(
    "changes", [{"data": {"n": 8, "model": "small"}}, {"type": "other"}, {"time_us": START_US + 1}]
)
@in_any_batches
def test_a_void_of_something_else_than_was_counted_is_refused(
    changes: dict[str, Any], cuts: list[Cut]
) -> None:
    batches = folded([at(0, EVENT), void(1, replace(EVENT, **changes)), void(2, EVENT)], cuts)

    assert outcomes(batches) == Outcomes(accepted=2, quarantined=1)
    assert refused(batches) == [(1, "void_differs")]


@in_any_batches
def test_a_conflict_is_not_withdrawn_for_it_was_not_counted(cuts: list[Cut]) -> None:
    other = replace(EVENT, data={"n": 1_000, "model": "small"})
    batches = folded([at(0, EVENT), at(1, other), void(2, other)], cuts)

    assert refused(batches) == [(1, "conflict"), (2, "void_differs")]
    assert voids(batches) == []


@in_any_batches
def test_the_id_of_a_withdrawn_event_stays_taken(cuts: list[Cut]) -> None:
    right = replace(EVENT, data={"n": 1, "model": "small"})
    batches = folded([at(0, EVENT), void(1, EVENT), at(2, EVENT), at(3, right)], cuts)

    assert outcomes(batches) == Outcomes(accepted=2, duplicate=1, conflict=1)


@in_any_batches
def test_a_void_goes_to_the_series_that_its_event_went_to(cuts: list[Cut]) -> None:
    """The limit is two models a window: the third went to `other`, and so does its void."""
    events = [
        replace(EVENT, id=model, data={"n": place, "model": model})
        for place, model in enumerate(["small", "large", "huge", "small"], start=1)
    ]
    events[3] = replace(events[3], id="again")
    log = [at(offset, event) for offset, event in enumerate(events)]
    log += [void(4, events[2]), void(5, events[0], after_us=2 * HOUR_US)]
    batches = folded(log, cuts)

    tokens = [row for row in voids(batches) if row.key.meter_version_id == METER_IDS["tokens"]]
    assert [(row.key.groups, row.value) for row in tokens] == [(None, -3), (("small",), -1)]


@in_any_batches
def test_a_void_adds_no_group_to_the_limit(cuts: list[Cut]) -> None:
    """It is refused, so there is room for another model after it."""
    large, huge = (replace(EVENT, id=model, data={"n": 1, "model": model}) for model in ("large", "huge"))
    batches = folded([at(0, EVENT), void(1, large), at(2, huge)], cuts)

    keys = [
        key for batch in batches for key in batch.increments if key.meter_version_id == METER_IDS["tokens"]
    ]
    assert {key.groups for key in keys} == {("small",), ("huge",)}


@in_any_batches
def test_a_void_of_a_late_event_takes_back_its_adjustment(cuts: list[Cut]) -> None:
    late_us = 2 * HOUR_US
    batches = folded([at(0, EVENT, after_us=late_us), void(1, EVENT, after_us=late_us)], cuts)

    rows = [
        row
        for batch in batches
        for row in batch.adjustments
        if row.key.meter_version_id == METER_IDS["tokens"]
    ]
    assert [(row.kind, row.value) for row in rows] == [("late", 7), ("void", -7)]
    assert rows[0].key == rows[1].key


@in_any_batches
def test_what_a_meter_could_not_read_it_does_not_take_back(cuts: list[Cut]) -> None:
    event = replace(EVENT, data={"n": "many", "model": "small"})
    batches = folded([at(0, event), void(1, event)], cuts)

    assert [row.key.meter_version_id for row in voids(batches)] == [METER_IDS["calls"]]
    codes = {(row.offset, row.meter_version_id): row.code for row in quarantined(batches)}
    for name in ("tokens", "level", "least", "most", "newest"):
        assert codes[0, METER_IDS[name]] == codes[1, METER_IDS[name]] == "value_not_number"
    assert codes[1, METER_IDS["models"]] == "void_not_subtractable"


@in_any_batches
def test_an_unmetered_event_is_withdrawn_as_quietly(cuts: list[Cut]) -> None:
    event = replace(EVENT, type="nobody counts this")
    batches = folded([at(0, event), void(1, event)], cuts)

    assert outcomes(batches) == Outcomes(accepted=2)
    assert sum(batch.unmetered for batch in batches) == 2
    assert quarantined(batches) == []


@in_any_batches
def test_the_version_that_counted_an_event_takes_it_back(cuts: list[Cut]) -> None:
    """The void stands in the time of the new version, its event in that of the old one."""
    versions = two_versions(START_US + HOUR_US)
    batches = folded([at(0, EVENT), void(1, EVENT, after_us=2 * HOUR_US)], cuts, versions)

    assert [(row.key.meter_version_id, row.value) for row in voids(batches)] == [(1, -7)]


def two_versions(since_us: int) -> Catalog:
    (first, second) = load_catalog(
        """
        meters:
          - {name: old, event_type: call, aggregation: sum, value: n, window: 1h, grace: 0s}
          - {name: new, event_type: call, aggregation: sum, value: m, window: 1h, grace: 0s}
        """,
        "meters.yaml",
    ).meters
    return compile_catalog(
        StoredCatalog(
            2,
            [
                StoredVersion(1, "tokens", 1, first.definition()),
                StoredVersion(2, "tokens", 2, second.definition(), since_us),
            ],
        )
    )


@in_any_batches
def test_a_void_is_admitted_by_its_events_time(cuts: list[Cut]) -> None:
    """At W it is, a millisecond later not; as a repair for as long as the horizon is."""
    edge_us, horizon_us = RULES.acceptance_window_us, RULES.repair_horizon_us
    other = replace(EVENT, id="2")
    log = [
        *(at(0, EVENT), at(1, other)),
        *(void(2, EVENT, after_us=edge_us), void(3, other, after_us=edge_us + 1000)),
        *(
            void(4, EVENT, after_us=horizon_us, is_repair=True),
            void(5, other, after_us=horizon_us, is_repair=True),
        ),
        void(6, other, after_us=horizon_us + 1000, is_repair=True),
    ]
    batches = folded(log, cuts)

    assert refused(batches) == [(3, "too_old"), (6, "too_old_to_repair")]
    assert outcomes(batches) == Outcomes(accepted=4, duplicate=1, quarantined=2)
    assert sum(batch.late_by_pipeline for batch in batches) == 0


def test_a_repair_asks_for_the_ids_of_its_events_hour() -> None:
    state = fresh_state(0)
    (batch,) = folded([at(0, EVENT)])
    late_us = RULES.repair_horizon_us - HOUR_US
    reading = read(0, 1, 2, [record_of(void(1, EVENT, after_us=late_us, is_repair=True))])

    assert fold(reading, batch.next_state, CATALOG) == Needs(frozenset({START_US // HOUR_US}), frozenset())
    assert state.next_offset == 0


@in_any_batches
def test_a_misplaced_void_goes_to_its_events_partition(cuts: list[Cut]) -> None:
    stray = next(f"s{number}" for number in range(9) if partition_of(f"s{number}") == 1)
    event = replace(EVENT, subject=stray)
    (row,) = quarantined(folded([void(0, event)]))
    assert (row.code, row.target_partition, row.type) == ("misplaced", 1, "metering.control.void")

    batches = folded([at(0, event), void(1, event, is_repair=True)], cuts, partition=1)
    assert outcomes(batches) == Outcomes(accepted=2)


@in_any_batches
def test_a_repair_for_one_meter_is_withdrawn_for_that_meter(cuts: list[Cut]) -> None:
    """The event itself and what was repaired for one meter are two things, each with a void of its own."""
    unread = replace(EVENT, data={"n": "many", "model": "small"})
    mended = replace(EVENT, data={"n": 5, "model": "small"})
    log = [
        *(at(0, unread), at(1, mended, is_repair=True, repaired_meter="tokens")),
        *(void(2, mended), void(3, mended, is_repair=True, repaired_meter="tokens")),
        *(void(4, unread), void(5, mended, is_repair=True, repaired_meter="tokens")),
    ]
    batches = folded(log, cuts)

    assert refused(batches) == [(2, "void_differs")]
    assert outcomes(batches) == Outcomes(accepted=4, duplicate=1, quarantined=1)
    assert [(row.offset, row.key.meter_version_id, row.value) for row in voids(batches)] == [
        (3, METER_IDS["tokens"], -5),
        (4, METER_IDS["calls"], None),
    ]


@in_any_batches
def test_an_event_and_its_repair_for_one_meter_are_withdrawn_each_by_itself(cuts: list[Cut]) -> None:
    """Even if they say the same: their voids do not take each other for copies."""
    repair: dict[str, Any] = {"is_repair": True, "repaired_meter": "tokens"}
    batches = folded([at(0, EVENT), at(1, EVENT, **repair), void(2, EVENT), void(3, EVENT, **repair)], cuts)

    assert outcomes(batches) == Outcomes(accepted=4)
    tokens = [row.value for row in voids(batches) if row.key.meter_version_id == METER_IDS["tokens"]]
    assert tokens == [-7, -7]


def test_a_void_leaves_the_limit_to_events_where_another_version_has_counted() -> None:
    """Should an event's time belong to a version that has not seen it, its void takes no group's place."""
    definition = (
        load_catalog(METERS_YAML, "meters.yaml").meters[0].model_copy(update={"cardinality_limit": 1})
    )
    before, after = (
        compile_catalog(StoredCatalog(head, [StoredVersion(head, "tokens", head, definition.definition())]))
        for head in (1, 2)
    )
    large = replace(EVENT, id="2", data={"n": 1, "model": "large"})
    state = fresh_state(0)
    batches = []
    for logged, meters in ((at(0, EVENT), before), (void(1, EVENT), after), (at(2, large), after)):
        batch = fold(read(0, logged.offset, logged.offset + 1, [record_of(logged)]), state, meters)
        assert isinstance(batch, Batch)
        batches.append(batch)
        state = batch.next_state

    assert [(row.key.meter_version_id, row.key.groups) for row in voids(batches)] == [(2, ("small",))]
    assert [key.groups for key in batches[2].increments] == [("large",)]


@in_any_batches
def test_an_id_used_again_after_its_hour_is_forgotten_has_a_void_for_each_event(cuts: list[Cut]) -> None:
    again_us = RULES.acceptance_window_us + 2 * HOUR_US
    again = replace(EVENT, time_us=START_US + again_us)
    log = [
        *(at(0, EVENT), at(1, again, after_us=again_us)),
        *(void(2, again, after_us=again_us), void(3, EVENT, after_us=again_us, is_repair=True)),
        *(void(4, again, after_us=again_us), void(5, EVENT, after_us=again_us, is_repair=True)),
    ]
    batches = folded(log, cuts)

    assert outcomes(batches) == Outcomes(accepted=4, duplicate=2)


@in_any_batches
def test_a_value_of_many_digits_is_taken_back_to_the_last(cuts: list[Cut]) -> None:
    value = "12345678901234567890.000000000000000001"
    event = replace(EVENT, data={"n": value, "model": "small"})
    batches = folded([at(0, event), void(1, event)], cuts)

    (row,) = [row for row in voids(batches) if row.key.meter_version_id == METER_IDS["tokens"]]
    assert row.value == Decimal(f"-{value}")


def test_the_meters_of_these_tests_have_every_aggregation() -> None:
    meters = load_catalog(METERS_YAML, "meters.yaml").meters
    assert {meter.aggregation for meter in meters} == {
        "sum",
        "count",
        "min",
        "max",
        "last",
        "unique",
        "gauge",
    }
