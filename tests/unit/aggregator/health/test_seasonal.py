"""Seasonal ranges against the definition, read from a sorted list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.health.seasonal import earlier_hours, leaves_range
from schemas.instant import HOUR_US


def test_an_hour_is_compared_with_the_same_hour_of_seven_days_and_four_weeks() -> None:
    hour_us = 1_000_000 * HOUR_US
    back = [(hour_us - one) // HOUR_US for one in earlier_hours(hour_us)]
    assert back == [24, 48, 72, 96, 120, 144, 168, 336, 504, 672]


@pytest.mark.parametrize(
    ("amount", "earlier", "leaves"),
    [
        (100, [100] * 10, False),
        (151, [100] * 10, True),
        (150, [100] * 10, False),
        (49, [100] * 10, True),
        (0, [100] * 10, True),
        (0, [0] * 10, None),
        (5, [0] * 6 + [1] * 4, None),
        (5, [0] * 5 + [1] * 5, True),
        (1000, [100, 200, 300, 400, 500, 600, 700], False),  # wide by nature
        (2150, [100, 200, 300, 400, 500, 600, 700], False),
        (2200, [100, 200, 300, 400, 500, 600, 700], True),
        (100, [100, 101, 99, 100, 100, 1_000_000], False),  # one outlier moves nothing
        (1_000_000, [100, 101, 99, 100, 100, 1_000_000], True),
    ],
)
def test_ranges_by_hand(amount: float, earlier: list[float], leaves: bool | None) -> None:  # noqa: FBT001
    assert leaves_range(amount, earlier) is leaves


def middle_of(values: list[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


@given(st.integers(0, 1000), st.lists(st.integers(0, 1000), max_size=11))
def test_any_range_is_what_the_definition_says(amount: int, earlier: list[int]) -> None:
    used = [one for one in earlier if one > 0]
    if len(used) < 5:
        assert leaves_range(amount, earlier) is None
        return
    middle = middle_of([float(one) for one in earlier])
    deviation = middle_of([abs(one - middle) for one in earlier])
    low = middle - max(6 * 1.4826 * deviation, middle / 2)
    high = middle + max(6 * 1.4826 * deviation, middle / 2)
    distance = min(abs(amount - low), abs(amount - high))
    if distance > 1e-6:  # nobody minds on which side of the very edge it is
        assert leaves_range(amount, earlier) is not (low <= amount <= high)
