"""Silence against a plain look at all events; a past that says too little says nothing."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aggregator.health.silence import KEPT_US, LEAST_GAPS, EventPast
from schemas.instant import HOUR_US, MINUTE_US

SECOND_US = 1_000_000


def past_of(*times_us: int) -> EventPast:
    past = EventPast()
    for at_us in times_us:
        past.add(at_us)
    return past


def every(seconds: int, count: int = 100) -> EventPast:
    return past_of(*(number * seconds * SECOND_US for number in range(count)))


def test_who_sends_every_second_is_silent_after_a_minute() -> None:
    past = every(1)
    newest_us = 99 * SECOND_US
    assert past.newest_us == newest_us
    assert past.is_silent(newest_us) is False
    assert past.is_silent(newest_us + MINUTE_US) is False
    assert past.is_silent(newest_us + MINUTE_US + 1) is True


def test_who_sends_once_an_hour_is_silent_after_an_hour_and_a_half() -> None:
    past = every(3600)
    newest_us = 99 * HOUR_US
    assert past.is_silent(newest_us + HOUR_US + HOUR_US // 2) is False
    assert past.is_silent(newest_us + HOUR_US + HOUR_US // 2 + 1) is True


def test_frontiers_that_stand_still_make_nobody_silent() -> None:
    past = every(1)
    assert past.is_silent(0) is False


def test_too_short_a_past_says_nothing() -> None:
    assert EventPast().is_silent(10**18) is None
    assert every(1, LEAST_GAPS).is_silent(10**18) is None
    assert every(1, LEAST_GAPS + 1).is_silent(10**18) is True
    gap_us = 10 * SECOND_US  # 50 seconds of a past, with one gap of 10 seconds: five times as long
    uneven = past_of(*(number * SECOND_US for number in range(40)), 39 * SECOND_US + gap_us)
    assert uneven.is_silent(10**18) is None


def test_nights_are_learnt_in_the_first_one_and_forgotten_after_two_weeks() -> None:
    past = EventPast()
    day_us = 24 * HOUR_US
    for day in range(12):
        for minute in range(16 * 60):
            past.add(day * day_us + minute * MINUTE_US)
    newest_us = past.newest_us
    assert newest_us is not None
    assert past.is_silent(newest_us + 9 * HOUR_US) is False
    assert past.is_silent(newest_us + 13 * HOUR_US) is True
    for minute in range(1, (KEPT_US + 2 * HOUR_US) // MINUTE_US):
        past.add(newest_us + minute * MINUTE_US)
    assert past.newest_us is not None
    assert past.is_silent(past.newest_us + 3 * MINUTE_US) is True


@given(
    st.lists(st.integers(0, 3 * HOUR_US), max_size=60),
    st.integers(0, 6 * HOUR_US),
)
def test_any_past_is_judged_as_all_of_its_events_are(times_us: list[int], quiet_us: int) -> None:
    past = past_of(*times_us)
    heard: list[int] = []
    for at_us in times_us:
        if not heard or at_us > heard[-1]:
            heard.append(at_us)
    gaps = [later - earlier for earlier, later in pairwise(heard)]
    if len(gaps) < LEAST_GAPS or heard[-1] - heard[0] < 10 * max(gaps):
        assert past.is_silent((heard or [0])[-1] + quiet_us) is None
        return
    expected = quiet_us > MINUTE_US and 2 * quiet_us > 3 * max(gaps) - 1
    assert past.is_silent(heard[-1] + quiet_us) is expected
