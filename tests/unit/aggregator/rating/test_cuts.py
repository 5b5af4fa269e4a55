"""Cuts against a walk over the log, second by second."""

from hypothesis import given
from hypothesis import strategies as st

from aggregator.rating.cuts import CUT_INTERVAL_US, UsedMeter, cut_that_holds_us, first_cut_us

SECOND_US = 1_000_000
HOUR_S = 3_600


def walked_cut_s(first_s: int, log_time_s: int) -> int:
    """The cuts one after another, until one is later than the adjustment."""
    cut_s = first_s
    while not log_time_s < cut_s:
        cut_s += HOUR_S
    return cut_s


@given(st.integers(0, 10_000), st.integers(0, 40_000))
def test_a_cut_holds_what_is_older_and_is_the_first_to_do_so(first_s: int, log_time_s: int) -> None:
    found_us = cut_that_holds_us(first_s * SECOND_US, log_time_s * SECOND_US)
    assert found_us == walked_cut_s(first_s, log_time_s) * SECOND_US


def test_an_adjustment_at_a_cut_is_in_the_next_one() -> None:
    first_us = 1_000 * SECOND_US
    assert cut_that_holds_us(first_us, first_us - 1) == first_us
    assert cut_that_holds_us(first_us, first_us) == first_us + CUT_INTERVAL_US
    assert cut_that_holds_us(first_us, first_us + CUT_INTERVAL_US - 1) == first_us + CUT_INTERVAL_US
    assert cut_that_holds_us(first_us, first_us + CUT_INTERVAL_US) == first_us + 2 * CUT_INTERVAL_US


@given(
    st.integers(0, 1000),
    st.lists(st.tuples(st.integers(0, 500), st.none() | st.integers(0, 1000)), max_size=5),
)
def test_the_first_cut_is_when_no_window_that_is_read_can_grow(
    end_s: int, meters: list[tuple[int, int | None]]
) -> None:
    """The last window that is read ends with the period, or with a version that ended before."""
    latest_s = end_s
    for grace_s, until_s in meters:
        last_window_end_s = end_s if until_s is None or until_s > end_s else until_s
        latest_s = max(latest_s, last_window_end_s + grace_s)
    used = [
        UsedMeter(grace_s * SECOND_US, None if until_s is None else until_s * SECOND_US)
        for grace_s, until_s in meters
    ]
    assert first_cut_us(end_s * SECOND_US, used) == latest_s * SECOND_US


def test_a_flat_fee_waits_for_nothing_but_the_end() -> None:
    assert first_cut_us(7 * SECOND_US, []) == 7 * SECOND_US
