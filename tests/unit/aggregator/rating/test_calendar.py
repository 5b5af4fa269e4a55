"""Periods against a walk of every minute, in zones whose clocks change in odd ways."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.rating.calendar import Calendar, Period, period_at, periods
from schemas.instant import EPOCH, format_time, parse_time_us
from schemas.subscription import BillingPeriod
from schemas.zone import zone

MINUTE = timedelta(minutes=1)
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
WALKED_DAYS = 430

WALKS = {
    "Australia/Lord_Howe": datetime(2025, 8, 1, tzinfo=UTC),  # half an hour of daylight saving
    "Pacific/Chatham": datetime(2025, 8, 1, tzinfo=UTC),  # 12:45 and 13:45, changed at 02:45
    "Africa/Cairo": datetime(2026, 1, 1, tzinfo=UTC),  # at midnight, so a day begins at 01:00
    "Pacific/Apia": datetime(2011, 7, 1, tzinfo=UTC),  # had no 30 December 2011
    "America/Sao_Paulo": datetime(2017, 9, 1, tzinfo=UTC),  # at midnight, into a day that begins at 01:00
    "Africa/Casablanca": datetime(2026, 1, 1, tzinfo=UTC),  # two changes around Ramadan
}


def us(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


@cache
def first_instants(timezone: str) -> dict[int, int]:
    """The first instant of every local minute (both in minutes), by looking at the clock every minute.

    A minute that the clock skips comes as long after the jump as it lies after the last one that was.
    """
    found: dict[int, int] = {}
    rules, last = zone(timezone), None
    first = us(WALKS[timezone]) // MINUTE_US
    for minute in range(first, first + WALKED_DAYS * 24 * 60):
        offset = datetime.fromtimestamp(minute * 60, rules).utcoffset()
        assert offset is not None
        local = minute + offset // MINUTE
        found.setdefault(local, minute)
        if last is not None:
            for skipped in range(last + 1, local):
                found.setdefault(skipped, minute + skipped - last - 1)
        last = local
    return found


def local_boundaries(calendar: Calendar) -> Iterator[datetime]:
    """Boundaries on the wall clock, for three years around the anchor, one plain step at a time."""
    anchor = calendar.anchor
    if calendar.billing_period in {"day", "week"}:
        step = timedelta(days=1 if calendar.billing_period == "day" else 7)
        yield from (anchor + n * step for n in range(-1100, 1101))
        return
    step_months = {"month": 1, "quarter": 3, "year": 12}[calendar.billing_period]
    for months in range(-36 * step_months, 37 * step_months, step_months):
        year, month = anchor.year, anchor.month
        for _ in range(abs(months)):
            month += 1 if months > 0 else -1
            if month in {0, 13}:
                year, month = (year + 1, 1) if month == 13 else (year - 1, 12)
        yield anchor.replace(year=year, month=month, day=min(anchor.day, monthrange(year, month)[1]))


def walked(calendar: Calendar) -> list[int]:
    """The boundaries within the walk."""
    instants = first_instants(calendar.timezone)
    if calendar.billing_period == "hour":
        first_us = instants[minutes(calendar.anchor)] * MINUTE_US
        return [first_us + n * HOUR_US for n in range(-24 * WALKED_DAYS, 24 * WALKED_DAYS)]
    found = {instants.get(minutes(local)) for local in local_boundaries(calendar)}
    return sorted(minute * MINUTE_US for minute in found if minute is not None)


def minutes(local: datetime) -> int:
    return us(local.replace(tzinfo=UTC)) // MINUTE_US


def berlin(billing_period: BillingPeriod, anchor: str) -> Calendar:
    return Calendar(billing_period, "Europe/Berlin", datetime.fromisoformat(anchor))


def starts(calendar: Calendar, instant: str, number: int) -> list[str]:
    """The local times at which some periods begin."""
    found = islice(periods(calendar, parse_time_us(instant)), number)
    rules = zone(calendar.timezone)
    return [
        (EPOCH + timedelta(microseconds=period.start_us)).astimezone(rules).isoformat(" ", "minutes")
        for period in found
    ]


@pytest.mark.parametrize("timezone", WALKS)
@given(
    billing_period=st.sampled_from(get_args(BillingPeriod)),
    anchor_minute=st.integers(2 * 24 * 60, (WALKED_DAYS - 2) * 24 * 60),
    instant_minute=st.integers(0, WALKED_DAYS * 24 * 60),
)
def test_periods_are_those_of_a_walk(
    timezone: str, billing_period: BillingPeriod, anchor_minute: int, instant_minute: int
) -> None:
    local_start = WALKS[timezone].replace(tzinfo=None)
    calendar = Calendar(billing_period, timezone, local_start + anchor_minute * MINUTE)
    boundaries = walked(calendar)
    instant_us = us(WALKS[timezone]) + instant_minute * MINUTE_US
    expected = [Period(start, end) for start, end in pairwise(boundaries) if end > instant_us]
    if not expected or expected[0].start_us > instant_us:
        return  # its period reaches beyond the walk
    assert period_at(calendar, instant_us) == expected[0]
    following = list(islice(periods(calendar, instant_us), 20))
    assert following[: len(expected)] == expected[:20]


@given(
    timezone=st.sampled_from([*WALKS, "Europe/Berlin", "Asia/Kathmandu", "America/New_York", "UTC"]),
    billing_period=st.sampled_from(get_args(BillingPeriod)),
    anchor=st.datetimes(datetime(1970, 1, 2), datetime(2999, 12, 30)),  # noqa: DTZ001 - local
    instant_us=st.integers(0, us(datetime(2999, 12, 30, tzinfo=UTC))),
)
def test_periods_follow_each_other_without_gap(
    timezone: str, billing_period: BillingPeriod, anchor: datetime, instant_us: int
) -> None:
    calendar = Calendar(billing_period, timezone, anchor)
    first, second = islice(periods(calendar, instant_us), 2)
    assert first.start_us <= instant_us < first.end_us == second.start_us < second.end_us
    assert period_at(calendar, instant_us) == first
    assert period_at(calendar, first.start_us) == first
    assert period_at(calendar, first.end_us) == second
    assert period_at(calendar, first.end_us - 1) == first


def test_a_month_of_the_31st_comes_back_to_it() -> None:
    assert starts(berlin("month", "2026-01-31"), "2026-01-31T00:00:00Z", 6) == [
        "2026-01-31 00:00+01:00",
        "2026-02-28 00:00+01:00",
        "2026-03-31 00:00+02:00",
        "2026-04-30 00:00+02:00",
        "2026-05-31 00:00+02:00",
        "2026-06-30 00:00+02:00",
    ]


def test_a_year_of_the_29th_of_february() -> None:
    assert starts(berlin("year", "2024-02-29"), "2023-06-01T00:00:00Z", 3) == [
        "2023-02-28 00:00+01:00",
        "2024-02-29 00:00+01:00",
        "2025-02-28 00:00+01:00",
    ]


def test_days_of_23_and_25_hours() -> None:
    calendar = berlin("day", "2026-01-01")
    spring, autumn = "2026-03-29T12:00:00Z", "2026-10-25T12:00:00Z"
    hours = [
        (day.end_us - day.start_us) // HOUR_US
        for day in (period_at(calendar, parse_time_us(instant)) for instant in (spring, autumn))
    ]
    assert hours == [23, 25]


def test_hours_are_exact_where_the_clock_is_not() -> None:
    calendar = Calendar("hour", "Australia/Lord_Howe", datetime.fromisoformat("2026-01-01T00:00"))
    found = list(islice(periods(calendar, parse_time_us("2026-04-04T12:00:00Z")), 24))
    assert {period.end_us - period.start_us for period in found} == {HOUR_US}


def test_a_day_that_a_zone_skips_is_no_period() -> None:
    calendar = Calendar("day", "Pacific/Apia", datetime.fromisoformat("2011-12-01"))
    assert starts(calendar, "2011-12-29T10:00:00Z", 3) == [
        "2011-12-29 00:00-10:00",
        "2011-12-31 00:00+14:00",
        "2012-01-01 00:00+14:00",
    ]


def test_a_midnight_that_does_not_exist_is_moved_on_by_the_gap() -> None:
    calendar = Calendar("day", "America/Sao_Paulo", datetime.fromisoformat("2018-11-01"))
    assert starts(calendar, "2018-11-04T03:00:00Z", 2) == ["2018-11-04 01:00-02:00", "2018-11-05 00:00-02:00"]


def test_of_two_equal_local_times_the_first_counts() -> None:
    calendar = berlin("day", "2026-01-01T02:30")
    period = period_at(calendar, parse_time_us("2026-10-25T00:30:00Z"))
    assert format_time(period.start_us) == "2026-10-25T00:30:00Z"  # 02:30 summer time


def test_a_part_of_a_period() -> None:
    assert Period(10, 20).within(12, 18) == Period(12, 18)
    assert Period(10, 20).within(5, None) == Period(10, 20)
    assert Period(10, 20).within(5, 30) == Period(10, 20)
