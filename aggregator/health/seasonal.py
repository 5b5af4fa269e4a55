"""Whether an amount leaves the range of its own season: the same hour of earlier days and weeks.

Median and median absolute deviation, because a single outlier among few earlier values moves neither
(https://www.itl.nist.gov/div898/handbook/eda/section3/eda356.htm). It decides no money, so it may be inexact.
"""

from collections.abc import Sequence
from statistics import median
from typing import Final

from schemas.instant import HOUR_US

DAY_HOURS: Final = 24
DAYS: Final = 7
WEEKS: Final = 4

LEAST_USED: Final = 5
"""So many of the earlier hours must have had usage, or there is no season to speak of."""

DEVIATIONS: Final = 6.0
NORMAL: Final = 1.4826  # a normal distribution's standard deviation, in median absolute deviations
LEAST_SHARE: Final = 0.5
"""Half of the median more or less is no anomaly, however even the earlier hours were."""


def earlier_hours(hour_us: int) -> list[int]:
    """The starts of the hours that an hour is compared with: of seven days, and of four weeks."""
    hours = {day * DAY_HOURS for day in range(1, DAYS + 1)}
    hours |= {week * 7 * DAY_HOURS for week in range(1, WEEKS + 1)}
    return [hour_us - back * HOUR_US for back in sorted(hours)]


def leaves_range(amount: float, earlier: Sequence[float]) -> bool | None:
    """Whether an amount lies outside of what the earlier ones make usual; None: they say too little."""
    if sum(one != 0 for one in earlier) < LEAST_USED:
        return None
    middle = median(earlier)
    deviation = median(abs(one - middle) for one in earlier)
    return abs(amount - middle) > max(DEVIATIONS * NORMAL * deviation, LEAST_SHARE * abs(middle))
