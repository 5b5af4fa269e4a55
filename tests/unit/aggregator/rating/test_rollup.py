"""Roll-ups, against plain loops and walks over every minute."""

import statistics
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.rating.rollup import (
    US_PER,
    Point,
    Tally,
    distinct,
    integral,
    natural,
    standing,
    time_average,
    windowed,
)
from schemas.catalog import Aggregation
from schemas.price import TimeUnit

MINUTE = 60_000_000
values = st.integers(-(10**6), 10**6).map(lambda n: Fraction(n, 1000)) | st.integers(-(10**38), 10**38).map(
    Fraction
)
tallies = st.lists(
    st.builds(Tally, st.integers(-3, 10), values, st.integers(0, 5), st.integers(0, 10**6)), max_size=12
)
aggregations = st.sampled_from(["sum", "count", "min", "max", "last"])


def folded(aggregation: Aggregation, parts: list[Tally]) -> Fraction:
    """One part after the other, as the meter aggregates."""
    total, newest = Fraction(), None
    for place, part in enumerate(parts):
        match aggregation:
            case "sum":
                total += part.value
            case "count":
                total += part.events
            case "min":
                total = part.value if place == 0 or part.value < total else total
            case "max":
                total = part.value if place == 0 or part.value > total else total
            case _:
                if newest is None or (part.time_us, part.offset) > newest:
                    total, newest = part.value, (part.time_us, part.offset)
    return total


@given(aggregations, tallies)
def test_naturally_parts_merge_as_the_meter_aggregates(aggregation: Aggregation, parts: list[Tally]) -> None:
    assert natural(aggregation, parts) == folded(aggregation, parts)


@given(aggregations, tallies.filter(len), st.integers(0, 12))
def test_how_parts_are_cut_changes_nothing(aggregation: Aggregation, parts: list[Tally], cut: int) -> None:
    if aggregation == "last":
        parts = list({(part.time_us, part.offset): part for part in parts}.values())
    halves = [half for half in (parts[:cut], parts[cut:]) if half]
    merged = []
    for half in halves:
        newest = max(half, key=lambda part: (part.time_us, part.offset))
        events = sum(part.events for part in half)
        merged.append(Tally(events, natural(aggregation, half), newest.time_us, newest.offset))
    assert natural(aggregation, merged) == natural(aggregation, parts)


@given(st.lists(st.frozensets(st.text("abc", max_size=2)), max_size=5))
def test_members_are_counted_once_wherever_they_are(sets: list[frozenset[str]]) -> None:
    everyone = [member for members in sets for member in members]
    assert distinct(everyone) == len(frozenset().union(*sets))


@pytest.mark.parametrize("aggregation", ["unique", "gauge"])
def test_members_and_points_are_no_tallies(aggregation: Aggregation) -> None:
    with pytest.raises(ValueError, match="has no tallies"):
        natural(aggregation, [Tally(1)])


windows = st.lists(
    st.tuples(st.integers(0, 9).map(lambda n: n * MINUTE), st.builds(Tally, st.integers(1, 9), values)),
    max_size=20,
)


def by_window(aggregation: Aggregation, found: list[tuple[int, Tally]], count: int) -> list[Fraction]:
    """The value of every window, those without events too."""
    return [
        folded(aggregation, [tally for start_us, tally in found if start_us == n * MINUTE])
        for n in range(count)
    ]


@given(st.sampled_from(["sum", "count", "min", "max"]), windows, st.integers(10, 40))
def test_an_average_is_over_all_windows(
    aggregation: Aggregation, found: list[tuple[int, Tally]], count: int
) -> None:
    everyone = by_window(aggregation, found, count)
    assert windowed("avg", aggregation, found, count) == sum(everyone, Fraction()) / count


@given(windows, st.integers(10, 40))
def test_peaks_are_summed(found: list[tuple[int, Tally]], count: int) -> None:
    assert windowed("sum_of_max", "max", found, count) == sum(by_window("max", found, count), Fraction())


@given(st.sampled_from(["sum", "count", "min", "max"]), windows, st.integers(10, 40))
def test_p95_is_the_least_value_that_95_percent_do_not_exceed(
    aggregation: Aggregation, found: list[tuple[int, Tally]], count: int
) -> None:
    everyone = by_window(aggregation, found, count)
    enough = [value for value in everyone if sum(1 for one in everyone if one <= value) * 100 >= 95 * count]
    assert windowed("p95", aggregation, found, count) == min(enough)


@pytest.mark.parametrize(
    ("count", "rank"), [(1, 1), (10, 10), (19, 19), (20, 19), (21, 20), (40, 38), (100, 95)]
)
def test_p95_is_a_value_that_occurred(count: int, rank: int) -> None:
    found = [(n * MINUTE, Tally(1, Fraction(n + 1))) for n in range(count)]
    assert windowed("p95", "max", found, count) == rank


def test_one_busy_window_in_twenty_is_no_p95() -> None:
    found = [(0, Tally(1, Fraction(1000)))]
    assert windowed("p95", "sum", found, 20) == 0
    assert windowed("p95", "sum", found, 19) == 1000


def test_a_window_outside_the_segment_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="2 windows of a segment that has 1"):
        windowed("avg", "sum", [(0, Tally(1)), (MINUTE, Tally(1))], 1)


def test_a_segment_without_windows_has_used_nothing() -> None:
    assert [windowed(rollup, "sum", [], 0) for rollup in ("p95", "avg", "sum_of_max")] == [0, 0, 0]


points = st.lists(
    st.builds(
        lambda minute, offset, value: Point(minute * MINUTE, offset, value),
        st.integers(-30, 90),
        st.integers(0, 10**6),
        st.integers(-5, 10**6).map(lambda n: Fraction(n, 100)),
    ),
    max_size=10,
    unique_by=lambda point: point.offset,
)
several = st.lists(points, max_size=3)


def held(series: list[Point], at_us: int) -> Fraction:
    """The value that stands at an instant: of the newest point not after it."""
    earlier = [point for point in series if point.time_us <= at_us]
    return max(earlier, key=lambda point: (point.time_us, point.offset)).value if earlier else Fraction()


@given(several, st.integers(0, 60), st.integers(1, 60), st.sampled_from(sorted(US_PER)))
def test_an_integral_is_what_a_walk_over_every_minute_adds_up(
    series: list[list[Point]], start: int, length: int, per: TimeUnit
) -> None:
    minutes = [n * MINUTE for n in range(start, start + length)]
    walked = sum((held(one, minute) * MINUTE for one in series for minute in minutes), Fraction())
    end_us = minutes[-1] + MINUTE
    assert integral(series, minutes[0], end_us, per) == walked / US_PER[per]
    assert time_average(series, minutes[0], end_us) == walked / MINUTE / length


@given(several, st.lists(st.integers(0, 90), min_size=2, max_size=6, unique=True))
def test_the_integrals_of_parts_add_up_to_that_of_the_whole(
    series: list[list[Point]], edges: list[int]
) -> None:
    cuts = [edge * MINUTE for edge in sorted(edges)]
    parts = sum((integral(series, start, end, "hour") for start, end in pairwise(cuts)), Fraction())
    assert parts == integral(series, cuts[0], cuts[-1], "hour")


@given(several, st.integers(0, 90))
def test_what_stands_is_what_was_last_before_the_end(series: list[list[Point]], end: int) -> None:
    end_us = end * MINUTE
    assert standing(series, end_us) == sum((held(one, end_us - 1) for one in series), Fraction())


@given(points, st.integers(0, 60), st.integers(1, 60))
def test_what_is_carried_in_may_stand_for_all_before(series: list[Point], start: int, length: int) -> None:
    start_us, end_us = start * MINUTE, (start + length) * MINUTE
    earlier = [point for point in series if point.time_us <= start_us]
    last = [max(earlier, key=lambda point: (point.time_us, point.offset))] if earlier else []
    within = [point for point in series if point.time_us > start_us]
    assert integral([last + within], start_us, end_us, "hour") == integral([series], start_us, end_us, "hour")


@given(points, st.sets(st.integers(0, 9)))
def test_a_void_takes_its_point_away(series: list[Point], places: set[int]) -> None:
    where = {(point.time_us, point.value) for point in series}
    distinct_points = [next(p for p in series if (p.time_us, p.value) == one) for one in sorted(where)]
    voided = [distinct_points[place] for place in places if place < len(distinct_points)]
    voids = [Point(point.time_us, 2 * 10**6 + n, point.value, -1) for n, point in enumerate(voided)]
    left = [point for point in distinct_points if point not in voided]
    span = (0, 60 * MINUTE)
    assert integral([distinct_points + voids], *span, "hour") == integral([left], *span, "hour")
    assert standing([voids + distinct_points], span[1]) == standing([left], span[1])


def test_of_equal_points_a_void_takes_the_first() -> None:
    five, seven = Fraction(5), Fraction(7)
    equal = [Point(0, 1, five), Point(0, 2, seven), Point(0, 3, five)]
    assert standing([equal], MINUTE) == five
    assert standing([[*equal, Point(0, 9, five, -1)]], MINUTE) == five
    assert standing([[*equal, Point(0, 9, five, -1), Point(0, 10, five, -1)]], MINUTE) == seven
    assert standing([[*equal, Point(0, 9, Fraction(1), -1)]], MINUTE) == five  # its point is not among these


def test_gigabyte_hours_with_a_value_carried_in() -> None:
    hour = US_PER["hour"]
    stored = [
        Point(-5 * hour, 1, Fraction(10)),
        Point(6 * hour, 2, Fraction(4)),
        Point(18 * hour, 3, Fraction(0)),
    ]
    assert integral([stored], 0, 24 * hour, "hour") == 10 * 6 + 4 * 12
    assert integral([stored], 0, 24 * hour, "day") == Fraction(108, 24)
    assert time_average([stored], 0, 24 * hour) == Fraction(9, 2)
    assert standing([stored], 18 * hour) == 4
    assert standing([stored], 24 * hour) == 0


def test_38_digits_by_microsecond_are_exact() -> None:
    huge = Fraction(int("9" * 38), 10**38)
    stored = [Point(1, 1, huge)]
    assert integral([stored], 0, US_PER["hour"], "hour") == huge * (US_PER["hour"] - 1) / US_PER["hour"]


def test_p95_agrees_with_the_library_where_it_has_the_same_rule() -> None:
    found = [(n * MINUTE, Tally(1, Fraction(n * n))) for n in range(100)]
    ascending = sorted(n * n for n in range(100))
    assert windowed("p95", "sum", found, 100) == ascending[94]
    assert windowed("p95", "sum", found, 100) <= statistics.quantiles(ascending, n=20, method="inclusive")[-1]
