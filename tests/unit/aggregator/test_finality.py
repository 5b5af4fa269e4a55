"""Finality against an oracle that looks at every window and every partition, one by one."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle.logs import METER_IDS, METERS, PARTITIONS, fresh_state, logs, record_of
from oracle.recount import LoggedEvent
from unit.aggregator.folding import CUTS, Cut, fold_all

from aggregator.batch import Batch
from aggregator.finality import (
    Frontier,
    Rule,
    Waiting,
    final_before_us,
    log_time_us,
    meter_final_before_us,
    meter_finality,
    watermarks,
)

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
WINDOWS_US = (MINUTE_US, 5 * MINUTE_US, 15 * MINUTE_US, HOUR_US)
RANGE_US = (-3 * HOUR_US, 6 * HOUR_US)

instants = st.integers(*RANGE_US)
frontiers = st.lists(st.none() | instants, max_size=5)
lengths = st.sampled_from(WINDOWS_US)
graces = st.integers(0, 180).map(lambda minutes: minutes * MINUTE_US)


def rule(
    version: int = 1,
    *,
    window_us: int = HOUR_US,
    grace_us: int = 0,
    effective_from_us: int | None = None,
    retired: bool = False,
) -> Rule:
    return Rule(version, "calls", version, window_us, grace_us, effective_from_us, retired)


def is_final(end_us: int, grace_us: int, frontiers_us: Sequence[int | None], partitions: int) -> bool:
    """The sentence itself: every partition's frontier has reached the end and the grace."""
    reached = [one for one in frontiers_us if one is not None and one >= end_us + grace_us]
    return len(reached) == partitions > 0


def starts(window_us: int) -> range:
    first = RANGE_US[0] // window_us * window_us - 4 * HOUR_US
    return range(first, RANGE_US[1] + HOUR_US, window_us)


@given(frontiers, st.integers(0, 1), lengths, graces)
def test_the_watermark_divides_final_windows_from_others(
    frontiers_us: list[int | None], lacking: int, window_us: int, grace_us: int
) -> None:
    partitions = len(frontiers_us) + lacking  # a topic may have a partition that has no row
    reached_us = log_time_us(frontiers_us, partitions)
    mark_us = None if reached_us is None else final_before_us(reached_us, window_us, grace_us)
    for start_us in starts(window_us):
        expected = is_final(start_us + window_us, grace_us, frontiers_us, partitions)
        assert expected == (mark_us is not None and start_us < mark_us)


@given(instants, st.integers(0, HOUR_US), lengths, graces)
def test_a_watermark_only_grows_with_log_time(
    log_us: int, more_us: int, window_us: int, grace_us: int
) -> None:
    one = rule(window_us=window_us, grace_us=grace_us)
    (before,), (after,) = watermarks([one], log_us), watermarks([one], log_us + more_us)
    assert before.final_before_us <= after.final_before_us
    assert before.final_before_us % window_us == 0


@st.composite
def meters(draw: st.DrawFn) -> list[Rule]:
    """Versions as the catalog allows them: each begins on a boundary of its windows and of those before."""
    versions = [rule(1, window_us=draw(lengths), grace_us=draw(graces))]
    if draw(st.booleans()):
        versions[0] = versions[0]._replace(effective_from_us=draw(st.integers(-2, 1)) * HOUR_US)
    for version in range(2, draw(st.integers(1, 4)) + 1):
        hours = draw(st.integers(0, 2))
        earlier_us = versions[-1].effective_from_us
        start_us = draw(st.integers(-2, 1)) * HOUR_US if earlier_us is None else earlier_us + hours * HOUR_US
        versions.append(
            rule(version, window_us=draw(lengths), grace_us=draw(graces), effective_from_us=start_us)
        )
    return versions


@given(meters(), instants)
def test_a_meter_is_final_up_to_where_every_window_of_every_version_is(
    versions: list[Rule], log_us: int
) -> None:
    marks = {mark.meter_version_id: mark.final_before_us for mark in watermarks(versions, log_us)}
    final_us = meter_final_before_us(versions, marks)
    assert final_us is not None
    windows = []  # of every version, while it is in force
    for one, successor in zip(versions, [*versions[1:], None], strict=True):
        end_us = None if successor is None else successor.effective_from_us
        windows += [
            (start_us, start_us + one.window_us, start_us < marks[one.meter_version_id])
            for start_us in starts(one.window_us)
            if (one.effective_from_us is None or start_us >= one.effective_from_us)
            and (end_us is None or start_us < end_us)
        ]
    assert all(is_final for _, end_us, is_final in windows if end_us <= final_us)
    following = [window for window in windows if window[0] >= final_us]
    assert not following or not min(following)[2]


def test_a_version_that_was_never_closed_stops_the_meter() -> None:
    old, new = rule(1, grace_us=0), rule(2, effective_from_us=2 * HOUR_US)
    assert meter_final_before_us([old, new], {}) is None
    assert meter_final_before_us([old, new], {1: HOUR_US}) == HOUR_US
    assert meter_final_before_us([old, new], {1: 5 * HOUR_US}) == 2 * HOUR_US
    assert meter_final_before_us([old, new], {1: 5 * HOUR_US, 2: 4 * HOUR_US}) == 4 * HOUR_US
    superseded = rule(1, grace_us=0), rule(2)  # both from the beginning
    assert meter_final_before_us(superseded, {1: HOUR_US, 2: 2 * HOUR_US}) == 2 * HOUR_US


@pytest.mark.parametrize(
    ("frontiers_us", "waiting_for", "partition", "missing_us", "overdue_us"),
    [
        ([9, 8], Waiting.TIME, 1, 7, 0),
        ([16, 8], Waiting.PARTITION, 1, 7, 1),
        ([15, 15], Waiting.CLOSER, 0, 0, 0),
        ([16, 18], Waiting.CLOSER, 0, 0, 3),
        ([16, None], Waiting.PARTITION, 1, None, 1),
        ([None, None], Waiting.TIME, 0, None, 0),
        ([], Waiting.TIME, None, None, 0),
    ],
)
def test_what_the_next_window_waits_for(
    frontiers_us: list[int | None],
    waiting_for: Waiting,
    partition: int | None,
    missing_us: int | None,
    overdue_us: int,
) -> None:
    """Final before 5, the next window ends at 10, and with its grace it is final at 15."""
    one = rule(window_us=5, grace_us=5)
    stands = meter_finality([one], {1: 5}, [Frontier(*item) for item in enumerate(frontiers_us)])
    assert (stands.final_before_us, stands.next_end_us, stands.needed_us) == (5, 10, 15)
    assert (stands.waiting_for, stands.partition) == (waiting_for, partition)
    assert (stands.missing_us, stands.overdue_us) == (missing_us, overdue_us)


def test_before_the_first_close_only_the_closer_is_missing() -> None:
    stands = meter_finality([rule()], {}, [Frontier(0, 7), Frontier(1, 9)])
    assert (stands.waiting_for, stands.next_end_us, stands.missing_us) == (Waiting.CLOSER, None, None)


def test_a_retired_meter_waits_for_nothing() -> None:
    versions = [rule(1), rule(2, effective_from_us=HOUR_US, retired=True)]
    stands = meter_finality(versions, {1: 3 * HOUR_US, 2: 3 * HOUR_US}, [Frontier(0, 3 * HOUR_US)])
    assert (stands.waiting_for, stands.next_end_us, stands.final_before_us) == (
        Waiting.NOTHING,
        None,
        3 * HOUR_US,
    )


RULES_OF = [
    Rule(METER_IDS[meter.name], meter.name, 1, meter.window_us, meter.grace_us, None, retired=False)
    for meter in METERS
]
RULE_OF = {one.meter_version_id: one for one in RULES_OF}
CLOSE = "close"


class World:
    """Logs that are counted batch by batch, with closes in between, as a database would hold them."""

    def __init__(self, spoken: Sequence[Sequence[LoggedEvent]]) -> None:
        self.logs = spoken
        self.next_offsets = [0] * len(spoken)
        self.counted_us: list[int | None] = [None] * len(spoken)
        self.marks: dict[int, int] = {}

    def commit(self, batch: Batch) -> None:
        """No increment may reach a window that is final by now; what is late for it is beside it."""
        for key in batch.increments:
            mark_us = self.marks.get(key.meter_version_id)
            assert mark_us is None or key.window_start_us >= mark_us
        self.next_offsets[batch.partition] = batch.next_offset
        self.counted_us[batch.partition] = batch.frontier_us

    def close(self) -> None:
        reached_us = log_time_us(self.counted_us, len(self.logs))
        if reached_us is not None:
            for mark in watermarks(RULES_OF, reached_us):
                assert mark.final_before_us >= self.marks.get(mark.meter_version_id, mark.final_before_us)
                self.marks[mark.meter_version_id] = mark.final_before_us
        self.is_as_the_logs_say()

    def is_as_the_logs_say(self) -> None:
        """The oracle: frontiers from the records themselves, and every window's own condition."""
        frontiers_us = [
            max((one.timestamp_us // 1000 * 1000 for one in log if one.offset < next_offset), default=None)
            for log, next_offset in zip(self.logs, self.next_offsets, strict=True)
        ]
        latest_us = max((one for one in frontiers_us if one is not None), default=0)
        for version, one in RULE_OF.items():
            end_us = latest_us // one.window_us * one.window_us
            for _ in range(5):
                mark_us = self.marks.get(version)
                expected = is_final(end_us, one.grace_us, frontiers_us, len(self.logs))
                assert expected == (mark_us is not None and end_us <= mark_us)
                end_us -= one.window_us


@given(st.tuples(*[logs(max_size=30)] * PARTITIONS), st.tuples(*[CUTS] * PARTITIONS), st.data())
def test_no_batch_reaches_a_final_window_however_flushes_and_closes_interleave(
    spoken: tuple[list[LoggedEvent], ...], cuts: tuple[list[Cut], ...], data: st.DataObject
) -> None:
    batches = {
        partition: fold_all([record_of(one) for one in log], at, fresh_state(partition))
        for partition, (log, at) in enumerate(zip(spoken, cuts, strict=True))
    }
    world = World(spoken)
    steps = [partition for partition, own in batches.items() for _ in own]
    closes = data.draw(st.integers(0, 6))
    for step in data.draw(st.permutations([*steps, *[CLOSE] * closes])):
        if isinstance(step, int):
            world.commit(batches[step].pop(0))
        else:
            world.close()
    world.close()
