"""Whether the boundaries of billing periods lie on windows, so that a period is made of whole ones.

All boundaries but those of hours have the anchor's time of day, so how far one lies from a window's start
depends on the UTC offset alone, and a zone has few of those. Only where one of them is off are boundaries
looked at one by one.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from typing import Final

from aggregator.rating.calendar import Calendar, period_at, periods
from schemas.instant import DAY_US, EPOCH, HOUR_US
from schemas.zone import zone

_RULES_ONLY_YEAR: Final = 2100
"""From here on every zone follows its yearly rule: the tables of tzdata end in 2087 (Morocco's Ramadans)."""

_CYCLE_YEARS: Final = 400
"""After so many years weekdays and dates, and so the changes of a yearly rule, repeat."""

_LEAST_DAYS: Final = 3
"""Since 1970 no zone has changed its offset for less than six days, so this step misses none."""

_YEAR_US: Final = 366 * DAY_US
_MICROSECOND: Final = timedelta(microseconds=1)


def first_off_windows(calendar: Calendar, window_us: int, start_us: int, end_us: int | None) -> int | None:
    """The first period boundary within `[start_us, end_us)` that is no boundary of windows, or None.

    Args:
        calendar: of the periods.
        window_us: the windows' length, a divisor of a day; they are counted from the epoch, in UTC.
        start_us: from where to look.
        end_us: to where; None: for ever.
    """
    if calendar.billing_period == "hour":
        return _first_hour_off(calendar, window_us, start_us, end_us)
    if _is_always_on(calendar, window_us, start_us):
        return None
    return _search(calendar, window_us, start_us, end_us)


def _first_hour_off(calendar: Calendar, window_us: int, start_us: int, end_us: int | None) -> int | None:
    """Of any two hours in a row one tells for windows of up to an hour, and one is off for longer ones."""
    first = period_at(calendar, start_us - 1).end_us
    off = next((hour for hour in (first, first + HOUR_US) if hour % window_us), None)
    return None if off is None or (end_us is not None and off >= end_us) else off


def _is_always_on(calendar: Calendar, window_us: int, start_us: int) -> bool:
    anchor = calendar.anchor
    time_of_day = timedelta(
        hours=anchor.hour, minutes=anchor.minute, seconds=anchor.second, microseconds=anchor.microsecond
    )
    window = window_us * _MICROSECOND
    year = (EPOCH + start_us * _MICROSECOND).year
    return all((time_of_day - offset) % window == timedelta() for offset in _offsets(calendar.timezone, year))


@lru_cache(maxsize=4096)
def _offsets(timezone: str, year: int) -> frozenset[timedelta]:
    """Every UTC offset that a zone has from the end of the year before on."""
    rules = zone(timezone)
    noon = datetime(year - 1, 12, 28, 12, tzinfo=rules)
    days = (datetime(max(year + 1, _RULES_ONLY_YEAR) + 1, 1, 1, tzinfo=rules) - noon).days
    return frozenset(
        (noon + timedelta(days=day)).utcoffset() or timedelta() for day in range(0, days, _LEAST_DAYS)
    )


@lru_cache(maxsize=4096)
def _search(calendar: Calendar, window_us: int, start_us: int, end_us: int | None) -> int | None:
    settled_us = (datetime(_RULES_ONLY_YEAR, 1, 1, tzinfo=EPOCH.tzinfo) - EPOCH) // _MICROSECOND
    last_us = max(start_us, settled_us) + _CYCLE_YEARS * _YEAR_US
    last_us = last_us if end_us is None else min(end_us, last_us)
    boundaries = (period.end_us for period in periods(calendar, start_us - 1))
    until_last = takewhile(lambda boundary_us: boundary_us < last_us, boundaries)
    return next((boundary_us for boundary_us in until_last if boundary_us % window_us), None)
