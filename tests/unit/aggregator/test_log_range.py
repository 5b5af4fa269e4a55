"""A range of any log comes to what a plain loop over the whole of it says, from the range's start on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.logs import (
    METERS,
    MINUTE_US,
    OURS,
    RULES,
    START_US,
    StoredVersion,
    catalog,
    fresh_state,
    logs,
    record_of,
)
from oracle.recount import HOUR_US, LoggedEvent, SpokenEvent, window_value
from unit.aggregator.folding import CUTS, Cut, fold_all
from unit.aggregator.test_fold import by_offset, by_oracle, offsets, points, spoken, taken_back, totals

from aggregator.batch import Batch
from aggregator.log_range import (
    Boundary,
    Unaligned,
    earliest_since_us,
    knows_from_us,
    memory_from_us,
    unaligned,
    usage_from_us,
)
from aggregator.state import Claimed, opened
from schemas.catalog import load_catalog
from schemas.codes import Code

DAYS = "meters: [{name: calls, event_type: call, aggregation: count, window: 1d, grace: 1h}]"


def last_before(boundaries: Sequence[Boundary], log_time_us: int) -> Boundary:
    """What the ledger answers: where everything of this log time or later lies behind."""
    earlier = [one for one in boundaries if one.frontier_us is None or one.frontier_us < log_time_us]
    return earlier[-1]


def ledger(batches: Sequence[Batch]) -> list[Boundary]:
    return [Boundary(0, None), *(Boundary(batch.next_offset, batch.frontier_us) for batch in batches)]


def starts(boundaries: Sequence[Boundary], since_us: int) -> tuple[Boundary, Boundary]:
    """Where to read from, and where usage begins."""
    usage = last_before(boundaries, usage_from_us(RULES, since_us))
    if usage.frontier_us is None:
        return usage, usage
    return last_before(boundaries, memory_from_us(RULES, usage.frontier_us)), usage


def fold_range(
    log: Sequence[LoggedEvent], counted: Sequence[Batch], since_us: int, cuts: Sequence[Cut]
) -> tuple[list[Batch], int]:
    """Count a range of a log that was counted, and say how many of its records that did not take."""
    read, usage = starts(ledger(counted), since_us)
    foretold = {
        row.offset: Code.CONFLICT
        for batch in counted
        for row in batch.quarantined
        if row.meter_version_id is None and row.code == "conflict" and row.offset < usage.offset
    }
    claimed = Claimed(0, read.offset, read.frontier_us, None, None)
    state = replace(opened(RULES, claimed, b"", {}), foretold=foretold)
    records = [record_of(logged) for logged in log if logged.offset >= read.offset]
    return fold_all(records, cuts, state, catalog(since_us=since_us)), read.offset


def assert_range(batches: Sequence[Batch], log: list[LoggedEvent], since_us: int) -> None:
    expected = by_oracle(log, 0)
    meters = {meter.name: meter for meter in METERS}
    windows: dict[Any, Any] = {key: found for key, found in expected.windows.items() if key[3] >= since_us}
    assert totals(list(batches)) == {
        key: (len(found), window_value(meters[key[0]], found)) for key, found in windows.items()
    }
    assert offsets(list(batches)) == {
        key: (min(map(by_offset, found)), max(map(by_offset, found))) for key, found in windows.items()
    }
    assert points(list(batches)) == {
        key: sorted(found) for key, found in windows.items() if meters[key[0]].aggregation == "gauge"
    }
    adjustments = [(a, spoken(a.key)) for batch in batches for a in batch.adjustments]
    assert [
        (a.offset, *name, a.value if a.member is None else a.member)
        for a, name in adjustments
        if a.kind == "late"
    ] == [row for row in expected.adjustments if row[4] >= since_us]
    assert [(a.offset, *name, a.value) for a, name in adjustments if a.kind == "void"] == [
        (*row[:5], taken_back(meters[row[1]], row[5])) for row in expected.voids if row[4] >= since_us
    ]


@settings(max_examples=150)
@given(logs(), CUTS, CUTS, st.integers(0, 39), st.integers(-1, 1))
def test_a_range_of_any_log_comes_to_what_the_whole_of_it_does(
    log: list[LoggedEvent], first_cuts: list[Cut], cuts: list[Cut], place: int, hours: int
) -> None:
    counted = fold_all([record_of(logged) for logged in log], first_cuts, fresh_state(0))
    around_us = log[place % len(log)].timestamp_us if log else START_US
    since_us = (around_us // HOUR_US + hours) * HOUR_US
    batches, _ = fold_range(log, counted, since_us, cuts)

    assert_range(batches, log, since_us)


def said(time_us: int, id_: str, n: int, frontier_us: int, offset: int) -> LoggedEvent:
    event = SpokenEvent("/a", id_, "call", OURS, time_us, {"n": n, "model": "small"})
    return LoggedEvent(offset, frontier_us, event)


def test_what_a_conflict_contradicts_may_lie_before_all_that_is_read() -> None:
    """A range that took the second for an event would refuse the third, which was counted."""
    since_us = START_US + 6 * HOUR_US
    log = [
        said(START_US, "1", 0, START_US, 0),
        said(START_US + 3 * HOUR_US, "1", 1, START_US + 3 * HOUR_US, 1),
        LoggedEvent(2, since_us - 20 * MINUTE_US, None, is_tick=True),
        said(since_us, "1", 2, since_us, 3),
    ]
    counted = fold_all([record_of(one) for one in log], [Cut(1), Cut(2), Cut(3)], fresh_state(0))
    assert [batch.outcomes.conflict for batch in counted] == [0, 1, 0, 0]
    batches, first_offset = fold_range(log, counted, since_us, [])

    assert first_offset == 1, "the first event need not be read"
    assert sum(batch.outcomes.accepted for batch in batches) == 1
    assert_range(batches, log, since_us)


def test_what_is_repaired_for_one_meter_is_counted_only_if_it_is_of_the_range() -> None:
    since_us = START_US + 5 * HOUR_US
    log = [
        replace(
            said(at_us, str(place), 1, since_us + 10 * MINUTE_US, place),
            is_repair=True,
            repaired_meter="tokens",
        )
        for place, at_us in enumerate((since_us - 1, since_us))
    ]
    counted = fold_all([record_of(one) for one in log], [], fresh_state(0))
    assert len(totals(counted)) == 2
    batches, _ = fold_range(log, counted, since_us, [])

    assert len(totals(batches)) == 1
    assert_range(batches, log, since_us)


def test_a_copy_is_known_whose_event_is_as_old_as_anything_remembered() -> None:
    since_us = START_US + 5 * HOUR_US
    log = [
        said(START_US, "0", 0, START_US, 0),
        said(START_US + 2 * HOUR_US, "1", 1, START_US + 2 * HOUR_US, 1),
        LoggedEvent(2, since_us - 10 * MINUTE_US, None, is_tick=True),
        said(START_US + 2 * HOUR_US, "1", 1, since_us, 3),
        said(since_us, "1", 4, since_us, 4),
    ]
    counted = fold_all([record_of(one) for one in log], [Cut(n) for n in range(1, 5)], fresh_state(0))
    batches, first_offset = fold_range(log, counted, since_us, [])

    assert first_offset == 1
    outcomes = [batch.outcomes for batch in batches]
    assert sum(one.duplicate for one in outcomes) == 1
    assert sum(one.conflict for one in outcomes) == 1


def test_an_event_that_came_before_its_hour_is_remembered_with_that_hour() -> None:
    since_us = START_US + 5 * HOUR_US
    log = [
        said(START_US, "0", 0, START_US, 0),
        said(START_US + HOUR_US, "1", 1, START_US + HOUR_US - 4 * MINUTE_US, 1),
        LoggedEvent(2, since_us - 10 * MINUTE_US, None, is_tick=True),
        said(since_us, "1", 3, since_us - 4 * MINUTE_US, 3),
    ]
    counted = fold_all([record_of(one) for one in log], [Cut(n) for n in range(1, 4)], fresh_state(0))
    assert counted[-1].outcomes.conflict == 1
    batches, first_offset = fold_range(log, counted, since_us, [])

    assert first_offset == 1
    assert_range(batches, log, since_us)


def test_the_earliest_start_is_read_without_what_is_gone_and_no_earlier_one_is() -> None:
    batches = [Boundary(n, START_US + n * 7 * MINUTE_US) for n in range(1, 200)]
    boundaries = [Boundary(0, None), *batches]
    versions = [StoredVersion(1, "calls", 1, load_catalog(DAYS, "m.yaml").meters[0].definition())]
    for gone in (2, 9, 50):
        at = next(one for one in boundaries if one.offset >= gone)
        assert at.frontier_us is not None
        needed_us = knows_from_us(RULES, at.frontier_us)
        known_us = min(
            b.frontier_us for b in boundaries if b.frontier_us is not None and b.frontier_us >= needed_us
        )
        for of_meters, window_us in (([], 1), (versions, 24 * HOUR_US)):
            since_us = earliest_since_us(RULES, known_us, of_meters)
            assert since_us % window_us == 0
            assert starts(boundaries, since_us)[0].offset >= gone
            assert starts(boundaries, since_us - window_us)[0].offset < gone


def test_a_window_that_an_instant_would_cut_is_named() -> None:
    calls = load_catalog(DAYS, "m.yaml").meters[0].definition()
    quarters = {**calls, "window": "15m"}
    day_us = START_US // (24 * HOUR_US) * 24 * HOUR_US
    versions = [
        StoredVersion(1, "calls", 1, calls),
        StoredVersion(2, "calls", 2, quarters, day_us),
        StoredVersion(3, "calls", 3, quarters, day_us + HOUR_US, retired=True),
    ]
    assert unaligned(versions, day_us - HOUR_US) == [Unaligned("calls", "1d")]
    assert unaligned(versions, day_us) == []
    assert unaligned(versions, day_us + 15 * MINUTE_US) == []
    assert unaligned(versions, day_us + 1) == [Unaligned("calls", "15m")]
    assert unaligned(versions, day_us + HOUR_US + 1) == [], "nothing counts by then"
