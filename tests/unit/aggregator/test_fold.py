"""The fold against the oracle: any log, cut anywhere, comes to what a plain loop says."""

from collections import Counter, defaultdict
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.logs import (
    METER_IDS,
    METERS,
    RULES,
    START_US,
    KafkaRecord,
    fresh_state,
    logs,
    partition_of,
    record_of,
)
from oracle.recount import LoggedEvent, Recount, SpokenEvent, SpokenMeter, recount, window_value
from unit.aggregator.folding import CATALOG, CUTS, Cut, fold_all

from aggregator.batch import Batch, Increment, WindowKey
from aggregator.fold import fold
from aggregator.reading import read
from schemas.codes import Code
from schemas.repair import RepairOrigin

METER_OF = {version: meter for meter in METERS for name, version in METER_IDS.items() if name == meter.name}


def merged(meter: SpokenMeter, parts: list[Increment]) -> Any:
    """One window from its batches' increments, combined as the store's upserts do."""
    match meter.aggregation:
        case "sum":
            return sum((Decimal(part.value or 0) for part in parts), Decimal(0))
        case "count":
            return sum(part.events for part in parts)
        case "min":
            return min(part.value for part in parts if part.value is not None)
        case "max":
            return max(part.value for part in parts if part.value is not None)
        case "last" | "gauge":
            return max((part.value_time_us, part.value_offset, part.value) for part in parts)[2]  # type: ignore[type-var]
        case "unique":
            return frozenset(member for part in parts for member in part.members or ())
    raise AssertionError(meter.aggregation)


def offsets(batches: list[Batch]) -> dict[tuple[str, str, Any, int], tuple[int, int]]:
    """First and last offset of each window."""
    spans: dict[tuple[str, str, Any, int], tuple[int, int]] = {}
    for batch in batches:
        for key, increment in batch.increments.items():
            first, last = spans.get(spoken(key), (increment.first_offset, increment.last_offset))
            spans[spoken(key)] = min(first, increment.first_offset), max(last, increment.last_offset)
    return spans


def spoken(key: WindowKey) -> tuple[str, str, Any, int]:
    groups = "other" if key.groups is None else key.groups
    return METER_OF[key.meter_version_id].name, key.subject, groups, key.window_start_us


def totals(batches: list[Batch]) -> dict[tuple[str, str, Any, int], tuple[int, Any]]:
    parts: dict[WindowKey, list[Increment]] = defaultdict(list)
    for batch in batches:
        for key, increment in batch.increments.items():
            parts[key].append(increment)
    return {
        spoken(key): (
            sum(part.events for part in increments),
            merged(METER_OF[key.meter_version_id], increments),
        )
        for key, increments in parts.items()
    }


def points(batches: list[Batch]) -> dict[tuple[str, str, Any, int], list[tuple[int, int, Any]]]:
    """Every point of each gauge's window."""
    found: dict[tuple[str, str, Any, int], list[tuple[int, int, Any]]] = defaultdict(list)
    for batch in batches:
        for key, increment in batch.increments.items():
            if increment.points is not None:
                found[spoken(key)] += increment.points
    return {key: sorted(window) for key, window in found.items()}


def taken_back(meter: SpokenMeter, value: Any) -> Any:
    """The signed value of a void."""
    return {"sum": lambda: -value, "count": lambda: None, "gauge": lambda: value}[meter.aggregation]()


def by_offset(point: tuple[int, int, Any]) -> int:
    return point[1]


def by_oracle(log: list[LoggedEvent], partition: int) -> Recount:
    return recount(
        log,
        METERS,
        partition=partition,
        partition_of=partition_of,
        acceptance_window_us=RULES.acceptance_window_us,
        skew_us=RULES.skew_us,
        repair_horizon_us=RULES.repair_horizon_us,
    )


def assert_equal(batches: list[Batch], expected: Recount, end: int) -> None:
    outcomes = Counter()
    for batch in batches:
        outcomes.update(batch.outcomes._asdict())
        assert sum(batch.outcomes) == batch.next_offset - batch.first_offset
    gap = end - sum(expected.outcomes.values())
    assert +outcomes == +Counter({**expected.outcomes, "gap": gap})
    for batch in batches:
        assert len(set(batch.sources)) == len(batch.sources)
    assert {source for batch in batches for source in batch.sources} == expected.sources

    meters = {meter.name: meter for meter in METERS}
    assert totals(batches) == {
        key: (len(points), window_value(meters[key[0]], points)) for key, points in expected.windows.items()
    }
    assert offsets(batches) == {
        key: (min(map(by_offset, points)), max(map(by_offset, points)))
        for key, points in expected.windows.items()
    }
    assert points(batches) == {
        key: sorted(window)
        for key, window in expected.windows.items()
        if meters[key[0]].aggregation == "gauge"
    }
    adjustments = [adjustment for batch in batches for adjustment in batch.adjustments]
    late = [adjustment for adjustment in adjustments if adjustment.kind == "late"]
    assert [(a.offset, *spoken(a.key)) for a in late] == [row[:5] for row in expected.adjustments]
    assert [a.value if a.member is None else a.member for a in late] == [
        value for *_, value in expected.adjustments
    ]
    voids = [adjustment for adjustment in adjustments if adjustment.kind == "void"]
    assert [(a.offset, *spoken(a.key)) for a in voids] == [row[:5] for row in expected.voids]
    assert [a.value for a in voids] == [
        taken_back(meters[name], value) for _, name, *_, value in expected.voids
    ]

    ids: Counter[int] = Counter()
    for batch in batches:
        ids.update({hour: len(entries) // 16 for hour, entries in batch.ids.items()})
    assert +ids == +expected.ids_by_hour

    codes = Counter(
        row.code
        for b in batches
        for row in b.quarantined
        if row.meter_version_id is None and row.code != "not_json"
    )
    assert codes == expected.codes
    meter_outcomes: Counter[tuple[str, str]] = Counter()
    for batch in batches:
        for version, tally in batch.meters.items():
            name = METER_OF[version].name
            meter_outcomes[name, "increment"] += tally.increments
            meter_outcomes[name, "adjustment"] += tally.adjustments
            meter_outcomes[name, "void"] += tally.voids
            meter_outcomes[name, "meter_error"] += tally.errors
    assert +meter_outcomes == +expected.meter_outcomes
    assert sum(batch.unmetered for batch in batches) == expected.unmetered


@settings(max_examples=300)
@given(logs(), CUTS, st.sampled_from([0, 0, 0, 1]))
def test_any_log_cut_anywhere_comes_to_what_the_oracle_says(
    log: list[LoggedEvent], cuts: list[Cut], partition: int
) -> None:
    records = [record_of(logged) for logged in log]
    batches = fold_all(records, cuts, fresh_state(partition))

    assert_equal(batches, by_oracle(log, partition), records[-1].offset + 1 if records else 0)


@given(logs(max_size=60), CUTS)
def test_the_last_state_does_not_depend_on_the_cuts(log: list[LoggedEvent], cuts: list[Cut]) -> None:
    records = [record_of(logged) for logged in log]
    whole = fold_all(records, [], fresh_state(0))
    parts = fold_all(records, cuts, fresh_state(0))

    if records:
        for name in ("next_offset", "frontier_us", "newest_time_us", "last"):
            assert getattr(parts[-1].next_state, name) == getattr(whole[-1].next_state, name)


@given(logs(max_size=80), CUTS)
def test_no_copy_is_ever_counted_twice_whatever_its_delay(log: list[LoggedEvent], cuts: list[Cut]) -> None:
    """The theorem itself, without the oracle: live copies (source, id, subject, time) are counted once."""
    live = [logged for logged in log if not logged.is_repair and not logged.is_void]
    batches = fold_all([record_of(logged) for logged in live], cuts, fresh_state(0))
    refused = {row.offset for batch in batches for row in batch.quarantined if row.meter_version_id is None}
    admitted = [logged.event for logged in live if logged.event is not None and logged.offset not in refused]

    copies = {(event.source, event.id, event.subject, event.time_us) for event in admitted}
    assert sum(batch.outcomes.accepted for batch in batches) == len(copies)


def test_what_is_counted_as_a_repair_says_what_it_repairs() -> None:
    subject = next(s for s in (f"s{n}" for n in range(9)) if partition_of(s) == 0)
    old = SpokenEvent(
        "/a", "1", "call", subject, START_US - RULES.acceptance_window_us - 1, {"n": 1, "model": "small"}
    )
    new = SpokenEvent("/a", "2", "call", subject, START_US, {"n": 1, "model": "small"})
    log = [
        LoggedEvent(0, START_US, old),  # too old, but for a repair
        LoggedEvent(1, START_US, new),
        LoggedEvent(2, START_US, old, is_repair=True),
        LoggedEvent(3, START_US, old, is_repair=True),
        LoggedEvent(4, START_US, new, is_repair=True),
    ]
    (batch,) = fold_all([record_of(logged) for logged in log], [], fresh_state(0))

    assert (batch.outcomes.accepted, batch.outcomes.duplicate, batch.outcomes.quarantined) == (2, 2, 1)
    assert batch.repairs == [(2, RepairOrigin(1, 5, Code.MISPLACED))]


def test_a_value_the_database_refused_is_quarantined_and_the_rest_counted() -> None:
    subject = next(s for s in (f"s{n}" for n in range(9)) if partition_of(s) == 0)
    events = [
        SpokenEvent("/a", str(n), "call", subject, START_US, {"n": 1, "model": "small"}) for n in range(3)
    ]
    records = [record_of(LoggedEvent(n, START_US, event)) for n, event in enumerate(events)]

    batch = fold(read(0, 0, 3, records), fresh_state(0), CATALOG, rejected=frozenset({1}))

    assert isinstance(batch, Batch)
    assert batch.outcomes.accepted == 2
    assert [(row.offset, row.code, row.value) for row in batch.quarantined] == [
        (1, "store_rejected", records[1].value)
    ]


def test_a_cap_takes_the_place_of_a_clock_that_jumped() -> None:
    far_us = START_US + 10**15
    records = [KafkaRecord(0, far_us // 1000, b"{"), KafkaRecord(1, START_US // 1000 + 5, b"{")]
    state = replace(fresh_state(0), caps_us={0: START_US})

    batch = fold(read(0, 0, 2, records), state, CATALOG)

    assert isinstance(batch, Batch)
    assert batch.frontier_us == START_US + 5000
