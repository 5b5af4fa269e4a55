"""Rates every period whose log is closed, then the later cuts, then the thresholds of those that are open."""

import time
from typing import Final

import structlog

from aggregator.store import finality, rating, terms
from aggregator.store.connection import Connection
from aggregator.store.later_cuts import collect_cuts
from aggregator.store.terms import Known, RatingCatalog
from metering.process.exclusive import Turn
from metering.rater.push import FeedPush
from metering.rater.tracing import traced
from metering.rater.watch import ThresholdWatch
from metering.settings import Settings
from metering.telemetry import Instruments, catalogue
from schemas.instant import format_time

log = structlog.get_logger(__name__)

PERIODS: Final = 500
"""Rated in one transaction."""

RESCHEDULED: Final = 1_000
"""Subscriptions scheduled in one transaction."""

LOOKED_AT_US: Final = 3_600_000_000
"""Log time whose adjustments are looked at in one transaction."""


class Rater:
    """The duty of `metering rate`."""

    name: Final = "rater"

    def __init__(self, settings: Settings) -> None:
        self.interval_s = settings.rate_interval_s
        self._settings = settings
        self._turn: Turn | None = None
        self._catalog: RatingCatalog | None = None
        self._watch = ThresholdWatch()
        self._look_s = 0.0
        self._push: FeedPush | None = None
        self._target: _Target | None = None

    async def step(self, turn: Turn) -> bool:
        """Do a bounded part of what there is to do; whether more of it can be done at once."""
        if turn is not self._turn:
            await self._begin(turn)
        connection = turn.connection
        catalog = self._catalog = await terms.rating_catalog(connection, self._catalog)
        await self._schedule(turn, catalog)
        has_more = await self._rate(turn, catalog)
        # While much is to be rated, open periods wait for no more than they do between two steps.
        if not has_more or time.monotonic() >= self._look_s:
            await self._look(turn, catalog)
        if self._push is not None:
            has_more |= await self._push.push(connection, turn.instruments)
        return has_more

    async def is_done(self, connection: Connection) -> bool:
        """Whether another rater has rated all that could be rated when this was asked first."""
        closing_us = await finality.closing(connection)
        if self._target is None:
            self._target = _Target(closing_us, await terms.known(connection))
        return await self._target.is_reached(connection)

    async def _begin(self, turn: Turn) -> None:
        """Forget what may have changed while another was at work."""
        self._turn = turn
        self._watch = ThresholdWatch()
        if self._push is not None:
            await self._push.close()
            self._push = None
        if self._settings.feed_topic is not None:
            self._push = FeedPush(self._settings, self._settings.feed_topic)

    async def _schedule(self, turn: Turn, catalog: RatingCatalog) -> None:
        """Find out when periods can be rated, where terms have changed since that was done last."""
        connection = turn.connection
        _, scheduled = await rating.progress(connection)
        if scheduled == catalog.known:
            return
        names = await terms.changed_subscriptions(connection, catalog, scheduled)
        for first in range(0, len(names), RESCHEDULED):
            if turn.stopping.is_set():
                return
            await rating.reschedule(connection, catalog, names[first : first + RESCHEDULED])
        await rating.schedule_knows(connection, catalog.known)
        if names:
            log.info("scheduled", subscriptions=len(names))

    async def _look(self, turn: Turn, catalog: RatingCatalog) -> None:
        """Tell of thresholds that are crossed."""
        crossings = await self._watch.look(turn.connection, catalog)
        self._look_s = time.monotonic() + self.interval_s
        if crossings:
            turn.instruments.add(catalogue.THRESHOLDS_CROSSED, crossings)
            log.info("crossed", thresholds=crossings)

    async def _rate(self, turn: Turn, catalog: RatingCatalog) -> bool:
        """First versions; and once there are none to be made, later cuts. Whether there is more."""
        connection, instruments = turn.connection, turn.instruments
        closing_us = await finality.closing(connection)
        if closing_us is None:
            return False
        began_s = time.monotonic()
        done, self._catalog = await rating.rate_due(connection, catalog, closing_us, PERIODS)
        if done.periods:
            async with traced(turn, "first", began_s, done, self._catalog):
                _measure(instruments, "first", began_s, done)
                log.info("rated", periods=done.versions, log_time=format_time(closing_us))
            return True
        if await collect_cuts(connection, self._catalog, closing_us, LOOKED_AT_US):
            return True
        began_s = time.monotonic()
        done, self._catalog = await rating.rate_cuts(connection, self._catalog, closing_us, PERIODS)
        if done.periods:
            async with traced(turn, "later", began_s, done, self._catalog):
                _measure(instruments, "later", began_s, done)
                log.info("cuts_rated", cuts=done.periods, versions=done.versions)
        return done.periods > 0


class _Target:
    """All that there was to do at some time."""

    def __init__(self, closing_us: int | None, known: Known) -> None:
        self._closing_us = closing_us
        self._known = known

    async def is_reached(self, connection: Connection) -> bool:
        """Whether all of it is done."""
        if self._closing_us is None:
            return True
        return await rating.is_rated(connection, self._closing_us, self._known)


def _measure(instruments: Instruments, versions: str, began_s: float, done: rating.Done) -> None:
    instruments.record(catalogue.RATE_DURATION, time.monotonic() - began_s, versions=versions)
    instruments.add(catalogue.RATED_VERSIONS, done.versions, versions=versions)
    if done.crossings:
        instruments.add(catalogue.THRESHOLDS_CROSSED, done.crossings)
