"""One look at everything every few seconds, as gauges: they say how things stand, whoever is at work."""

import time
from collections.abc import Sequence
from typing import Final

import structlog

from aggregator.health.group import GroupState, group_state
from aggregator.store.connection import Connection
from metering.observer import meters, partitions, sources
from metering.observer.counted import Accounts, read_accounts
from metering.observer.look import Looks, Standing
from metering.observer.meters import MeterPasts, report_meters
from metering.observer.partitions import report_partitions
from metering.observer.rarely import RareLooks
from metering.observer.report import Report
from metering.observer.sources import SourcePasts
from metering.process.exclusive import Turn
from metering.settings import Settings
from metering.telemetry import catalogue

log = structlog.get_logger(__name__)


class Observer:
    """The duty of `metering observe`."""

    name: Final = "observer"

    def __init__(self, settings: Settings) -> None:
        self.interval_s = settings.observe_interval_s
        self._settings = settings
        self._seen: _Seen | None = None

    async def step(self, turn: Turn) -> bool:
        """Look at everything once; what takes longer goes on beside. There is never more to do at once."""
        began_s = time.monotonic()
        seen = self._of_turn(turn)
        accounts = await read_accounts(turn.connection)
        await seen.pasts.read(turn.connection, accounts)
        await seen.sources.read(turn.connection, accounts)
        seen.rarely.begin(accounts)
        await self._report(seen, turn, accounts)
        turn.instruments.record(catalogue.OBSERVE_DURATION, time.monotonic() - began_s)
        return False

    async def is_done(self, _connection: Connection) -> bool:
        """The one at work looks all the time."""
        return True

    def _of_turn(self, turn: Turn) -> "_Seen":
        """What this turn has seen; what was seen before another was at work says nothing of now."""
        if self._seen is None or self._seen.turn is not turn:
            if self._seen is not None:
                self._seen.rarely.cancel()
            self._seen = _Seen(self._settings, turn)
        return self._seen

    async def _report(self, seen: "_Seen", turn: Turn, accounts: Accounts) -> None:
        logs, problems = await seen.looks.logs(accounts)
        for error in problems.values():
            log.warning("server_away", server="brokers", work="observer", error=error.sentence)
        standings = seen.looks.standings(accounts, logs)
        report = Report((*partitions.GAUGES, *meters.GAUGES, *sources.GAUGES))
        report_partitions(report, accounts, standings, seen.rarely.retention_us)
        report_meters(report, accounts)
        seen.pasts.report(report, accounts)
        seen.sources.report(report, accounts)
        report.show(turn.instruments)
        seen.tell(standings)


class SingleLook(Observer):
    """The duty of `metering observe --once`: its one look is done when all of it is."""

    async def step(self, turn: Turn) -> bool:
        """Look at everything once, and again at what needs the answers that took longer."""
        await super().step(turn)
        await self._of_turn(turn).rarely.ended()
        return await super().step(turn)


class _Seen:
    """What one turn remembers of its looks."""

    def __init__(self, settings: Settings, turn: Turn) -> None:
        self.turn = turn
        self.looks = Looks(settings)
        self.pasts = MeterPasts()
        self.sources = SourcePasts()
        self.rarely = RareLooks(settings, turn)
        self._group: GroupState | None = None

    def tell(self, standings: Sequence[Standing]) -> None:
        """Log the group's state when it is another one."""
        group = group_state({one.status.partition: one.state for one in standings})
        if group is not None and group != self._group:
            self._group = group
            log.info("group_state", state=group.state.value, partitions=list(group.partitions))
