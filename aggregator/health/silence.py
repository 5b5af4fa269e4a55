"""Whether what used to send has stopped: silence is not zero, it is known by comparison with its own past.

All times are of the log, so a pipeline that is away, and whose frontiers stand still, makes nobody silent.
"""

from typing import Final

from schemas.instant import HOUR_US, MINUTE_US

KEPT_US: Final = 14 * 24 * HOUR_US
"""So much of the past counts: two weeks have quiet nights and quiet weekends in them."""

LEAST_GAPS: Final = 30
LEAST_SPANS: Final = 10
"""The past is enough if it has so many gaps, and is so many times as long as the longest of them."""


class EventPast:
    """When there were events, as much of it as silence is judged by: the longest gap of each hour."""

    def __init__(self) -> None:
        self.newest_us: int | None = None
        self._oldest_us: int | None = None
        self._gaps = 0
        self._longest_us: dict[int, int] = {}  # by the hour in which a gap ended

    def add(self, at_us: int) -> None:
        """There was an event; of one before the newest nothing is learnt."""
        if self.newest_us is None:
            self.newest_us = self._oldest_us = at_us
        if at_us <= self.newest_us:
            return
        hour = at_us // HOUR_US
        if hour not in self._longest_us:
            self._forget_before((at_us - KEPT_US) // HOUR_US)
        self._longest_us[hour] = max(self._longest_us.get(hour, 0), at_us - self.newest_us)
        self._gaps += 1
        self.newest_us = at_us

    def _forget_before(self, hour: int) -> None:
        self._longest_us = {one: gap_us for one, gap_us in self._longest_us.items() if one >= hour}

    def is_silent(self, log_time_us: int) -> bool | None:
        """Whether it has been quiet for half as long again as ever before, and for at least a minute.

        Args:
            log_time_us: up to which everything is counted.

        Returns:
            None while there is not enough of a past to tell.
        """
        if self.newest_us is None or self._oldest_us is None:
            return None
        longest_us = max(self._longest_us.values(), default=0)
        span_us = self.newest_us - max(self._oldest_us, self.newest_us - KEPT_US)
        if self._gaps < LEAST_GAPS or span_us < LEAST_SPANS * longest_us:
            return None
        return log_time_us - self.newest_us > max(MINUTE_US, longest_us * 3 // 2)
