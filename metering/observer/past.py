"""The recent past of each partition, by which it is judged; kept in memory, for as long as somebody looks."""

from collections.abc import Mapping, Sequence

from aggregator.health.partition import Observation, State, extended, partition_state, remembered
from aggregator.store.status import PartitionStatus
from metering.observer.logs import LogPosition


class Past:
    """A sliding window of observations for each partition."""

    def __init__(self, limit_s: float, *, times_are_appends: bool) -> None:
        """Begin without a past.

        Args:
            limit_s: how much of it is judged.
            times_are_appends: whether the log's timestamps say when records were appended; then a first look
                knows more than it sees.
        """
        self._limit_us = round(limit_s * 1_000_000)
        self._times_are_appends = times_are_appends
        self._windows: dict[int, list[Observation]] = {}

    def states(
        self,
        partitions: Sequence[PartitionStatus],
        logs: Mapping[int, LogPosition],
        stopped: frozenset[int],
    ) -> dict[int, State | None]:
        """Add what is seen now, and judge; None: it cannot be known, for no broker answers."""
        return {
            one.partition: self._state(one, logs.get(one.partition), is_stopped=one.partition in stopped)
            for one in partitions
        }

    def _state(self, one: PartitionStatus, log: LogPosition | None, *, is_stopped: bool) -> State | None:
        newest = Observation(
            at_us=one.read_us,
            next_offset=one.next_offset,
            end_offset=None if log is None else log.end_offset,
            owned_us=one.owned_us,
            claimed_us=one.claimed_us,
            moved_us=one.flushed_us,
            is_stopped=is_stopped,
        )
        window = self._windows.get(one.partition, [])
        if not window and log is not None and self._times_are_appends:
            earlier = remembered(newest, log.waiting_since_us)
            window = [] if earlier is None else [earlier]
        self._windows[one.partition] = extended(window, newest, self._limit_us)
        return partition_state(self._windows[one.partition], self._limit_us)
