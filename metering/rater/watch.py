"""Watches thresholds: periods that are open are rated provisionally whenever their usage may have grown.

What can be rated already is left to that: it tells of thresholds too, and many such periods may be waiting.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from aggregator.rating.schedule import Terms, next_due
from aggregator.rating.segments import RatedPeriod
from aggregator.rating.thresholds import crossed
from aggregator.state import TopicRules
from aggregator.store import finality, load, prices, rating, status, terms
from aggregator.store.connection import Connection
from aggregator.store.rate import rate
from aggregator.store.terms import RatingCatalog
from schemas.partitioner import PARTITIONERS

if TYPE_CHECKING:
    from schemas.rated import ThresholdNotice


SUBSCRIPTIONS: Final = 200
"""Rated in one transaction."""


class _Watched(NamedTuple):
    """A subscription with thresholds."""

    terms: Terms
    partitions: frozenset[int]  # in which its subjects' events lie


class _LogTime(NamedTuple):
    """How far the log has come."""

    closing_us: int | None  # every partition, so that periods can be rated; None: one has no record
    newest_us: int


class ThresholdWatch:
    """What is known of thresholds while one process is at work; a new one looks at all of them first."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._catalog: RatingCatalog | None = None
        self._accepted: Mapping[int, int] = {}
        self._done: set[tuple[str, int]] = set()  # periods with nothing left to cross

    async def look(self, connection: Connection, catalog: RatingCatalog) -> int:
        """Write the crossings that there are now; how many were new."""
        if self._catalog is None or catalog.known != self._catalog.known:
            await self._read(connection, catalog)
        if not self._watched:
            return 0
        # Before the usage: what is counted after this is looked at the next time.
        partitions = await status.partitions(connection)
        accepted = {one.partition: one.outcomes.accepted for one in partitions}
        grown = {number for number, count in accepted.items() if self._accepted.get(number) != count}
        now_us = max((one.frontier_us for one in partitions if one.frontier_us is not None), default=None)
        if now_us is None or not grown:
            return 0
        names = [name for name, one in self._watched.items() if grown & one.partitions]
        log_time = _LogTime(await finality.closing(connection), now_us)
        crossings = 0
        for first in range(0, len(names), SUBSCRIPTIONS):
            crossings += await self._cross(
                connection, catalog, names[first : first + SUBSCRIPTIONS], log_time
            )
        self._accepted = accepted
        return crossings

    async def _read(self, connection: Connection, catalog: RatingCatalog) -> None:
        """All subscriptions that have thresholds; what was known of the others' periods no longer holds."""
        names = await terms.with_thresholds(connection)
        self._watched = {}
        if names:
            rules = await load.topic_rules(connection)
            for first in range(0, len(names), SUBSCRIPTIONS):
                found = await terms.terms(connection, catalog, names[first : first + SUBSCRIPTIONS])
                for name, one in found.items():
                    self._watched[name] = _Watched(one, frozenset(_partitions(one, rules)))
        self._catalog, self._accepted = catalog, {}
        self._done.clear()

    async def _cross(
        self, connection: Connection, catalog: RatingCatalog, names: list[str], log_time: _LogTime
    ) -> int:
        through_us = await prices.rated_through(connection, names)
        periods = [
            (name, period)
            for name in names
            for period in self._open(name, catalog, through_us.get(name), log_time)
        ]
        if not periods:
            return 0
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            totals = await rate(connection, catalog.meters, [(period, None) for _, period in periods])
        notices: dict[tuple[str, int], list[ThresholdNotice]] = {}
        for (name, period), total in zip(periods, totals, strict=True):
            notices[name, period.start_us] = found = crossed(total, period, log_time.newest_us)
            if len(found) == len(_thresholds(period)):
                self._done.add((name, period.start_us))
        return await rating.cross(connection, notices)

    def _open(
        self, name: str, catalog: RatingCatalog, through_us: int | None, log_time: _LogTime
    ) -> Iterable[RatedPeriod]:
        """The periods that have begun and cannot be rated yet."""
        one = self._watched[name].terms
        due = next_due(one, catalog.meters, one.start_us if through_us is None else through_us)
        while due is not None and due.period.start_us <= log_time.newest_us:
            period = due.period
            is_open = log_time.closing_us is None or due.first_cut_us > log_time.closing_us
            if is_open and _thresholds(period) and (name, period.start_us) not in self._done:
                yield period
            due = next_due(one, catalog.meters, period.end_us)


def _thresholds(period: RatedPeriod) -> set[str]:
    return {
        threshold.text for segment in period.segments for threshold in segment.subscription.terms.thresholds
    }


def _partitions(one: Terms, rules: TopicRules) -> Iterable[int]:
    partition_of = PARTITIONERS[rules.partitioner]
    for stretch in one.stretches:
        for subject in stretch.subscription.terms.subjects:
            yield partition_of(subject.encode(), rules.partitions)
