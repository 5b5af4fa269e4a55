"""Billing periods: where they begin and end in any zone, counted from an anchor.

An hour is an exact hour. Days, weeks, months, quarters and years are steps of the wall clock: a local day may
have 23 or 25 hours, and the day that a zone skips has none. Boundary n is always counted from the anchor,
never from the boundary before, so that an anchor on the 31st comes back to the 31st after a February.
"""

from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Final, NamedTuple, Self

from schemas.instant import EPOCH, HOUR_US
from schemas.subscription import BillingPeriod, Subscription
from schemas.zone import zone

_LOCAL_EPOCH: Final = EPOCH.replace(tzinfo=None)
_MICROSECOND: Final = timedelta(microseconds=1)
_MONTHS_A_YEAR: Final = 12
_DAYS: Final[Mapping[str, int]] = {"day": 1, "week": 7}
_MONTHS: Final[Mapping[str, int]] = {"month": 1, "quarter": 3, "year": _MONTHS_A_YEAR}


class Period(NamedTuple):
    """A half-open stretch of time; microseconds since the epoch."""

    start_us: int
    end_us: int

    def within(self, start_us: int, end_us: int | None) -> Self:
        """The part of it that lies in `[start_us, end_us)`; empty or negative if none does."""
        end_us = self.end_us if end_us is None else min(self.end_us, end_us)
        return self._replace(start_us=max(self.start_us, start_us), end_us=end_us)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Where the periods of a subscription begin, for all of time."""

    billing_period: BillingPeriod
    timezone: str  # IANA
    anchor: datetime  # local, without a zone: period 0 begins then

    @classmethod
    def of(cls, subscription: Subscription) -> Self:
        """The calendar of a subscription."""
        return cls(subscription.billing_period, subscription.timezone, subscription.local_anchor)

    def boundary_us(self, number: int) -> int:
        """Where period `number` begins, counted from the anchor's; negative ones come before it.

        Raises:
            OverflowError, ValueError: that is outside the years 1 to 9999.
        """
        days = _DAYS.get(self.billing_period)
        if days is not None:
            return self._instant_us(self.anchor + timedelta(days=number * days))
        months = _MONTHS.get(self.billing_period)
        if months is not None:
            return self._instant_us(_months_later(self.anchor, number * months))
        return self._instant_us(self.anchor) + number * HOUR_US

    def number_at(self, instant_us: int) -> int:
        """The number of the period that an instant lies in."""
        number = self._estimate(instant_us)
        while self.boundary_us(number) > instant_us:
            number -= 1
        while self.boundary_us(number + 1) <= instant_us:
            number += 1
        return number

    def _estimate(self, instant_us: int) -> int:
        """Off by one at most, near a change of clocks or a clamped day."""
        if self.billing_period == "hour":
            return (instant_us - self._instant_us(self.anchor)) // HOUR_US
        local = (EPOCH + instant_us * _MICROSECOND).astimezone(zone(self.timezone)).replace(tzinfo=None)
        days = _DAYS.get(self.billing_period)
        if days is not None:
            return (local - self.anchor) // timedelta(days=days)
        months = (local.year - self.anchor.year) * _MONTHS_A_YEAR + local.month - self.anchor.month
        return months // _MONTHS[self.billing_period]

    def _instant_us(self, local: datetime) -> int:
        """The instant of a local time: of two the first, and one that is skipped is moved on by the gap.

        Both are what `fold=0` means (PEP 495): it takes the offset from before the change.
        """
        offset = local.replace(tzinfo=zone(self.timezone)).utcoffset() or timedelta()
        return (local - _LOCAL_EPOCH - offset) // _MICROSECOND


def period_at(calendar: Calendar, instant_us: int) -> Period:
    """The whole period that an instant lies in.

    Raises:
        OverflowError, ValueError: it reaches outside the years 1 to 9999.
    """
    number = calendar.number_at(instant_us)
    return Period(calendar.boundary_us(number), calendar.boundary_us(number + 1))


def periods(calendar: Calendar, from_us: int) -> Iterator[Period]:
    """The period that an instant lies in and all that follow; a day that the zone skips is none.

    Raises:
        OverflowError, ValueError: the next one reaches beyond the year 9999.
    """
    start_us = calendar.boundary_us(first := calendar.number_at(from_us))
    for number in count(first + 1):
        end_us = calendar.boundary_us(number)
        if end_us > start_us:
            yield Period(start_us, end_us)
        start_us = end_us


def _months_later(local: datetime, months: int) -> datetime:
    year, month = divmod(local.year * _MONTHS_A_YEAR + local.month - 1 + months, _MONTHS_A_YEAR)
    last_day = monthrange(year, month + 1)[1]
    return local.replace(year=year, month=month + 1, day=min(local.day, last_day))
