"""Back through a partition's log for the windows of one meter version, whose sum is known to be wrong."""

from typing import Final, NamedTuple

from aggregator.health.aiming import Place
from aggregator.state import TopicRules
from aggregator.store import explanation
from aggregator.store import proof as store
from aggregator.store.connection import Connection
from aggregator.store.replay import CountedPartition
from metering.auditor.stretch import Provable, ending_at
from metering.explain.recount import MeterRule

SUBJECTS: Final = 5_000
"""Recounted at once; where a meter has more of them, a stretch is read more than once."""


class Aimed(NamedTuple):
    """What is to be recounted next."""

    provable: Provable
    subjects: list[str]


class Search:
    """Where the search stands: the newest stretch comes first, and of each all subjects that the meter knows.

    Subjects are those of its series, which are there even where somebody has deleted the windows.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.has_ended = False
        """Whether it has come to the beginning of what is kept; then it begins anew."""
        self._last_offset: int | None = None  # of the stretch; None: the newest
        self._subject = ""  # the last one that was recounted in the stretch

    async def go_on(
        self,
        connection: Connection,
        rules: TopicRules,
        rule: MeterRule,
        counted: CountedPartition,
        log_start: int,
        closing_us: int,
        most_records: int,
    ) -> Aimed | None:
        """The next stretch, or more subjects of the same; None: nothing can be proved further back."""
        self.has_ended = False
        next_offset = counted.claimed.next_offset
        last_offset = next_offset - 1 if self._last_offset is None else self._last_offset
        stretch = await ending_at(
            connection,
            rules,
            self.place.partition,
            counted.first_offset,
            log_start,
            last_offset,
            closing_us,
            most_records,
        )
        if stretch is None:
            self._begin_anew()
            return None
        meter_version_id = self.place.meter_version_id
        subjects = await store.subjects_after(connection, meter_version_id, self._subject, SUBJECTS)
        if len(subjects) == SUBJECTS:
            self._last_offset, self._subject = stretch.next_offset - 1, subjects[-1]
        elif stretch.next_offset - most_records <= max(counted.first_offset, log_start):
            self._begin_anew()
        else:
            # The next one proves what this one cannot: windows that began before it.
            passed_us = stretch.from_us + rule.window_us + rule.grace_us
            end = await explanation.end(connection, self.place.partition, next_offset, passed_us)
            if end >= stretch.next_offset:  # too little is read at once to prove any of its windows
                end = stretch.first_offset
            self._last_offset, self._subject = end - 1, ""
        return Aimed(stretch, subjects)

    def _begin_anew(self) -> None:
        self.has_ended, self._last_offset, self._subject = True, None, ""
