"""States of a partition against plain loops over the same window, and the rules one by one."""

from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.health.group import group_state
from aggregator.health.partition import Observation, State, extended, partition_state, remembered

LIMIT: Final = 30


def seen(
    at: int,
    next_offset: int,
    end: int | None,
    *,
    owned: int | None = -1,
    claimed: int | None = None,
    moved: int | None = None,
    stopped: bool = False,
) -> Observation:
    """Owned at that very moment unless told."""
    return Observation(at, next_offset, end, at if owned == -1 else owned, claimed, moved, stopped)


@pytest.mark.parametrize(
    ("window", "state"),
    [
        ([seen(0, 5, 5)], State.OK),
        ([seen(0, 5, 9)], State.OK),  # too short a past to say more
        ([seen(0, 5, 9), seen(29, 5, 9)], State.OK),
        ([seen(0, 5, 9), seen(30, 5, 9)], State.STALLED),
        ([seen(0, 5, 9), seen(15, 5, 11), seen(30, 5, 12)], State.STALLED),
        ([seen(0, 5, 5), seen(15, 5, 11), seen(30, 5, 12)], State.OK),  # caught up a moment ago
        ([seen(0, 5, 9), seen(15, 4, None), seen(30, 5, 9)], State.OK),  # it moved, there and back
        ([seen(0, 5, 9), seen(15, 6, 11), seen(30, 7, 13)], State.WARNING),
        ([seen(0, 5, 9), seen(15, 6, 11), seen(30, 8, 12)], State.OK),  # no more lag than at first
        ([seen(0, 5, 9), seen(15, 9, 11), seen(30, 10, 18)], State.OK),  # it has caught up in between
        ([seen(0, 5, 9), seen(30, 6, 10)], State.OK),  # moving, with lag that stays
        ([seen(0, 5, 9, stopped=True)], State.STOPPED),
        ([seen(0, 5, None, stopped=True)], State.STOPPED),
        ([seen(0, 5, 9, owned=None)], State.NO_OWNER),
        ([seen(40, 9, 9, owned=10)], State.NO_OWNER),  # also without lag: nobody ticks
        ([seen(40, 9, 9, owned=11)], State.OK),
        ([seen(40, 9, None, owned=10)], State.NO_OWNER),
        ([seen(0, 5, 9), seen(5, 4, 9)], State.REWOUND),
        ([seen(0, 5, 9), seen(5, 5, 8)], State.REWOUND),
        ([seen(0, 5, 4)], State.REWOUND),
        ([seen(0, 5, 9), seen(5, 4, None)], State.REWOUND),
        ([seen(0, 5, 9), seen(30, 5, None)], None),
        ([seen(0, 5, None), seen(30, 5, 9)], State.STALLED),
        ([seen(0, 5, 9, claimed=-9, moved=-1), seen(30, 5, 9, claimed=20, moved=-1)], State.OK),  # it is new
        ([seen(0, 5, 9, claimed=-9, moved=-9), seen(30, 5, 9, claimed=20, moved=-9)], State.STALLED),
        ([seen(0, 5, 9, owned=-30, claimed=-60), seen(30, 5, 9, claimed=-60)], State.OK),  # it is back
        ([seen(0, 5, 9, owned=-29, claimed=-60), seen(30, 5, 9, claimed=-60)], State.STALLED),
    ],
)
def test_each_rule(window: Sequence[Observation], state: State | None) -> None:
    assert partition_state(window, LIMIT) is state


def plainly(window: Sequence[Observation]) -> State | None:
    """The sentences of `State`, read from the worst to the best."""
    last = window[-1]
    known = [(one.next_offset, one.end_offset) for one in window if one.end_offset is not None]
    lags = [end - offset for offset, end in known]
    went_back = last.next_offset < max(one.next_offset for one in window)
    if last.end_offset is not None:
        went_back |= last.end_offset < max(end for _, end in known) or last.end_offset < last.next_offset
    is_long = window[0].at_us <= last.at_us - LIMIT and all(lag > 0 for lag in lags)
    stands = {one.next_offset for one in window} == {last.next_offset}
    first = window[0]
    has_counted = first.moved_us is not None and (
        first.claimed_us is None or first.moved_us > first.claimed_us
    )
    had_owners = all(one.owned_us is not None and one.owned_us > one.at_us - LIMIT for one in window)
    is_new = first.claimed_us != last.claimed_us and has_counted
    sentences: list[tuple[bool, State | None]] = [
        (last.is_stopped, State.STOPPED),
        (went_back, State.REWOUND),
        (last.owned_us is None or last.owned_us <= last.at_us - LIMIT, State.NO_OWNER),
        (last.end_offset is None, None),
        (is_long and stands and had_owners and not is_new, State.STALLED),
        (is_long and not stands and lags == sorted(lags) and len(set(lags)) > 1, State.WARNING),
    ]
    return next((state for holds, state in sentences if holds), State.OK)


OBSERVATIONS = st.builds(
    Observation,
    st.integers(0, 60),
    st.integers(0, 4),
    st.none() | st.integers(0, 9),
    st.none() | st.integers(0, 60),
    st.none() | st.integers(0, 60),
    st.none() | st.integers(0, 60),
    st.sampled_from([False, False, False, True]),
)


@settings(max_examples=500)
@given(st.lists(OBSERVATIONS, min_size=1, max_size=6))
def test_any_window_is_judged_as_the_sentences_say(window: list[Observation]) -> None:
    window.sort(key=lambda one: one.at_us)
    assert partition_state(window, LIMIT) is plainly(window)


@given(st.lists(st.integers(0, 200), min_size=1, max_size=30, unique=True))
def test_a_window_is_as_short_as_spans_the_limit(times: list[int]) -> None:
    window: list[Observation] = []
    for count, at in enumerate(sorted(times), start=1):
        window = extended(window, seen(at, 0, 0), LIMIT)
        every = sorted(times)[:count]
        old_enough = [one for one in every if one <= at - LIMIT]
        expected = [one for one in every if one >= (old_enough[-1] if old_enough else every[0])]
        assert [one.at_us for one in window] == expected


LOOK: Final = 5


def judged(looks: Sequence[Observation]) -> list[State | None]:
    """By somebody who looks again and again."""
    window: list[Observation] = []
    states = []
    for one in looks:
        window = extended(window, one, LIMIT)
        states.append(partition_state(window, LIMIT))
    return states


def stands(until: int, *, gone: int, claims: Sequence[int]) -> list[Observation]:
    """What is seen of a partition that stands where its owner, who is gone, has left it.

    Args:
        until: the last look.
        gone: when the owner went.
        claims: of others, who count nothing.
    """
    looks = []
    for at in range(0, until + 1, LOOK):
        claimed = max((one for one in claims if one <= at), default=-60)
        owned = at if at < gone or claimed > gone else gone
        looks.append(seen(at, min(at, gone), 9 + at, owned=owned, claimed=claimed, moved=min(at, gone)))
    return looks


@pytest.mark.parametrize("absence", [10, 28, 40, 600])
def test_an_owner_that_is_new_has_as_much_time_as_any_other(absence: int) -> None:
    claimed = 100 + absence
    states = judged(stands(claimed + 100, gone=100, claims=[claimed]))
    before, first = (claimed + LIMIT) // LOOK, states.index(State.STALLED)
    assert before <= first <= before + 2
    assert State.STALLED not in states[:first]
    assert set(states[first:]) == {State.STALLED}


def test_one_that_is_frozen_is_found_half_a_minute_after_it_counted_last() -> None:
    looks = [seen(at, 5, 9 + at, claimed=-60, moved=min(at, 100)) for at in range(100, 200, LOOK)]
    first = looks[judged(looks).index(State.STALLED)]
    assert first.at_us == 100 + LIMIT


def test_where_each_owner_ends_before_it_has_counted_anything_the_partition_is_stalled() -> None:
    states = judged(stands(200, gone=100, claims=range(108, 200, 12)))
    first = states.index(State.STALLED)
    assert 108 + LIMIT <= first * LOOK <= 108 + LIMIT + 2 * LOOK
    assert set(states[first:]) == {State.STALLED}


def test_what_servers_remember_stands_for_looks_that_nobody_took() -> None:
    for moved, claimed, since in (
        (60, None, 60),
        (None, None, 50),
        (40, 40, 50),
        (60, 70, 70),
        (None, 45, 50),
    ):
        now = seen(100, 5, 9, claimed=claimed, moved=moved)
        assert remembered(now, 50) == seen(since, 5, 6, claimed=claimed, moved=moved)
    now = seen(100, 5, 9, claimed=20, moved=60)
    for one, waiting_since in (
        (now, None),
        (now, 100),
        (now._replace(moved_us=100), 50),
        (now._replace(claimed_us=100), 50),
        (now._replace(next_offset=9), 50),
        (now._replace(end_offset=None), 50),
    ):
        assert remembered(one, waiting_since) is None
    earlier = remembered(now, 50)
    assert earlier is not None
    assert partition_state([earlier, now], LIMIT) is State.STALLED
    new = now._replace(claimed_us=71)
    earlier = remembered(new, 50)
    assert earlier is not None
    assert partition_state([earlier, new], LIMIT) is State.OK


def test_a_group_is_as_its_worst_partitions() -> None:
    assert group_state({}) is None
    assert group_state({0: None}) is None
    assert group_state({0: State.OK, 1: None}) is None
    assert group_state({0: State.OK, 1: State.OK}) == (State.OK, (0, 1))
    assert group_state({2: State.STALLED, 0: State.STALLED, 1: State.WARNING}) == (State.STALLED, (0, 2))
    assert group_state({0: None, 1: State.STOPPED}) == (State.STOPPED, (1,))
    worst_first = [State.STOPPED, State.REWOUND, State.STALLED, State.NO_OWNER, State.WARNING, State.OK]
    for place, state in enumerate(worst_first):
        known = group_state(dict(enumerate(worst_first[place:])))
        assert known is not None
        assert known == (state, (0,))
        assert known.sentence
