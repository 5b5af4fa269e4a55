"""Cuts: the log times at which versions of a rated total are made, the same on every replay.

The first cut of a period is when nothing on time can follow for it; from there they are an hour apart. A
version holds exactly the adjustments whose log time is before its cut.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

CUT_INTERVAL_US: Final = 3_600_000_000


class UsedMeter(NamedTuple):
    """A meter version that a period's charges read."""

    grace_us: int
    until_us: int | None  # event time up to which it was in force, if that is before the period; else None


def first_cut_us(period_end_us: int, meters: Iterable[UsedMeter]) -> int:
    """The log time at which every window that the period reads is final, and its first version is made.

    That is the period's end and the greatest grace of the meter versions in force in it; or later, if a gauge
    is carried in from a version that ended before the period and has a grace that reaches beyond that.
    """
    ends_us = [
        (period_end_us if meter.until_us is None else min(meter.until_us, period_end_us)) + meter.grace_us
        for meter in meters
    ]
    return max([period_end_us, *ends_us])


def cut_that_holds_us(first_us: int, log_time_us: int) -> int:
    """The first cut that holds an adjustment of this log time."""
    if log_time_us < first_us:
        return first_us
    return first_us + ((log_time_us - first_us) // CUT_INTERVAL_US + 1) * CUT_INTERVAL_US
