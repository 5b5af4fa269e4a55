"""Whether boundaries lie on windows, against a look at every one of them."""

import struct
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import pairwise, takewhile
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.rating.alignment import first_off_windows
from aggregator.rating.calendar import Calendar, periods
from schemas.instant import EPOCH, format_time, parse_time_us
from schemas.subscription import BillingPeriod
from schemas.zone import zone_names

MINUTE_US = 60_000_000
DAY_US = 24 * 60 * MINUTE_US
WINDOWS_US = [MINUTE_US, 5 * MINUTE_US, 15 * MINUTE_US, 60 * MINUTE_US, DAY_US]
YEAR_2026_US = parse_time_us("2026-01-01T00:00:00Z")


def calendar(billing_period: BillingPeriod, timezone: str, anchor: str) -> Calendar:
    return Calendar(billing_period, timezone, datetime.fromisoformat(anchor))


def first_off(found: Calendar, window_us: int, start: str = "2026-01-01T00:00:00Z") -> str | None:
    off_us = first_off_windows(found, window_us, parse_time_us(start), None)
    return None if off_us is None else format_time(off_us)


@given(
    timezone=st.sampled_from(
        ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "Africa/Cairo"]
    ),
    billing_period=st.sampled_from(get_args(BillingPeriod)),
    anchor=st.builds(
        lambda day, minutes: datetime(2026, 1, 1) + timedelta(days=day, minutes=minutes),  # noqa: DTZ001
        st.integers(0, 364),
        st.sampled_from([0, 1, 15, 30, 45, 60, 135, 570, 600]),
    ),
    window_us=st.sampled_from(WINDOWS_US),
    start_us=st.integers(YEAR_2026_US, YEAR_2026_US + 365 * DAY_US),
    days=st.integers(1, 1000),
)
def test_it_is_the_first_of_all_boundaries(
    timezone: str, billing_period: BillingPeriod, anchor: datetime, window_us: int, start_us: int, days: int
) -> None:
    one = Calendar(billing_period, timezone, anchor)
    days = days % 30 + 1 if billing_period == "hour" else days
    end_us = start_us + days * DAY_US
    boundaries = takewhile(lambda us: us < end_us, (period.start_us for period in periods(one, start_us)))
    expected = next((us for us in boundaries if us >= start_us and us % window_us), None)
    assert first_off_windows(one, window_us, start_us, end_us) == expected


def test_half_hours_of_lord_howe_are_named() -> None:
    months = calendar("month", "Australia/Lord_Howe", "2026-01-01")
    assert first_off(months, 60 * MINUTE_US) == "2026-04-30T13:30:00Z"
    assert first_off(months, 15 * MINUTE_US) is None


def test_years_of_lord_howe_that_never_meet_the_half_hour() -> None:
    assert first_off(calendar("year", "Australia/Lord_Howe", "2026-01-01"), 60 * MINUTE_US) is None
    assert first_off(calendar("year", "Australia/Lord_Howe", "2026-07-01"), 60 * MINUTE_US) is not None


def test_years_that_meet_the_half_hour_only_when_sunday_comes_late() -> None:
    """Summer time ends on the first Sunday of April, at 02:00: between the 1st and the 7th."""
    assert first_off(calendar("year", "Australia/Lord_Howe", "2026-04-04"), 60 * MINUTE_US) is not None
    assert first_off(calendar("year", "Australia/Lord_Howe", "2026-04-01"), 60 * MINUTE_US) is None


def test_days_of_utc_and_of_elsewhere() -> None:
    assert first_off(calendar("day", "UTC", "2026-01-01"), DAY_US) is None
    assert first_off(calendar("month", "Europe/Berlin", "2026-01-01"), DAY_US) == "2026-01-31T23:00:00Z"
    assert first_off(calendar("month", "Etc/GMT+5", "2026-01-01T19:00"), DAY_US) is None
    assert first_off(calendar("hour", "UTC", "2026-01-01"), DAY_US) == "2026-01-01T01:00:00Z"


def test_no_offset_lasts_less_than_six_days_and_every_table_ends_before_2100() -> None:
    """What a look at a zone's noons rests on."""
    for name in zone_names():
        instants = transitions(name)
        recent = [instant for instant in instants if instant >= EPOCH]
        assert all(later - earlier > timedelta(days=6) for earlier, later in pairwise(recent)), name
        assert not instants or instants[-1] < datetime(2100, 1, 1, tzinfo=UTC), name


def transitions(name: str) -> list[datetime]:
    """The explicit transitions of a zone's file. Source: RFC 9636, section 3."""
    data = files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
    counts = struct.unpack(">6l", data[20:44])
    utc, standard, leaps, times, types, characters = counts
    second = 44 + times * 5 + types * 6 + characters + leaps * 8 + standard + utc
    times = struct.unpack(">6l", data[second + 20 : second + 44])[3]
    seconds = struct.unpack(f">{times}q", data[second + 44 : second + 44 + 8 * times])
    return [EPOCH + timedelta(seconds=second) for second in seconds if abs(second) < 10**10]


@pytest.mark.parametrize("window_us", WINDOWS_US)
def test_a_search_ends_where_it_is_told_to(window_us: int) -> None:
    found = calendar("month", "Europe/Berlin", "2026-01-01T00:00:30")
    first_us = first_off_windows(found, window_us, YEAR_2026_US, None)
    assert first_us is not None
    assert first_off_windows(found, window_us, YEAR_2026_US, first_us) is None
    assert first_off_windows(found, window_us, first_us, first_us + 1) == first_us
