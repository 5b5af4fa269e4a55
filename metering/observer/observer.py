"""One look at everything every few seconds, as gauges: they say how things stand, whoever is at work."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog

from aggregator.health.group import GroupState, group_state
from aggregator.store.connection import Connection
from metering.broker import broker_admin, read_topic
from metering.errors import MeteringError
from metering.observer import meters, partitions
from metering.observer.burden import Seasons, report_piles, report_unpaid
from metering.observer.counted import Accounts, read_accounts
from metering.observer.look import Looks, Standing
from metering.observer.meters import MeterPasts, report_meters
from metering.observer.partitions import report_partitions
from metering.observer.report import Report
from metering.process.exclusive import Turn
from metering.settings import Settings
from metering.telemetry import catalogue
from schemas.topic import UNLIMITED

log = structlog.get_logger(__name__)

SLOW_S: Final = 60.0
"""What costs more is looked at this often,"""

UNPAID_S: Final = 300.0
"""and what costs a probe for each series this often."""

ANSWER_S: Final = 5.0


class Observer:
    """The duty of `metering observe`."""

    name: Final = "observer"

    def __init__(self, settings: Settings) -> None:
        self.interval_s = settings.observe_interval_s
        self._settings = settings
        self._turn: Turn | None = None
        self._group: GroupState | None = None
        self._begin()

    async def step(self, turn: Turn) -> bool:
        """Look at everything once; there is never more to do at once."""
        began_s = time.monotonic()
        if turn is not self._turn:
            self._turn = turn
            self._begin()
        accounts = await read_accounts(turn.connection)
        await self._pasts.read(turn.connection, accounts)
        await self._look_slowly(turn, accounts)
        logs, problems = await self._looks.logs(accounts)
        for error in problems.values():
            log.warning("server_away", server="brokers", work="observer", error=error.sentence)
        standings = self._looks.standings(accounts, logs)
        report = Report((*partitions.GAUGES, *meters.GAUGES))
        report_partitions(report, accounts, standings, self._retention_us)
        report_meters(report, accounts)
        self._pasts.report(report, accounts)
        report.show(turn.instruments)
        self._tell_state(standings)
        turn.instruments.record(catalogue.OBSERVE_DURATION, time.monotonic() - began_s)
        return False

    async def is_done(self, _connection: Connection) -> bool:
        """The one at work looks all the time."""
        return True

    def _begin(self) -> None:
        """What was seen before another was at work says nothing of now."""
        self._looks = Looks(self._settings)
        self._pasts = MeterPasts()
        self._seasons = Seasons()
        self._retention_us: int | None = None
        self._slow_at_s = self._unpaid_at_s = float("-inf")

    async def _look_slowly(self, turn: Turn, accounts: Accounts) -> None:
        now_s = time.monotonic()
        if now_s - self._slow_at_s >= SLOW_S:
            self._slow_at_s = now_s
            self._retention_us = await self._read_retention(accounts)
            await report_piles(turn.connection, turn.instruments)
            await self._seasons.look(turn.connection, accounts, turn.instruments)
        if now_s - self._unpaid_at_s >= UNPAID_S:
            self._unpaid_at_s = now_s
            await report_unpaid(turn.connection, turn.instruments)

    async def _read_retention(self, accounts: Accounts) -> int | None:
        """How long Kafka keeps records; None: for ever, or it does not say."""
        if accounts.topic is None:
            return None
        try:
            async with asyncio.timeout(ANSWER_S), broker_admin(self._settings) as admin:
                topic = await read_topic(admin, accounts.topic.name)
        except (MeteringError, TimeoutError):
            return None
        kept_ms = UNLIMITED if topic is None else int(topic.configs["retention.ms"])
        return None if kept_ms == UNLIMITED else kept_ms * 1000

    def _tell_state(self, standings: Sequence[Standing]) -> None:
        group = group_state({one.status.partition: one.state for one in standings})
        if group is not None and group != self._group:
            self._group = group
            log.info("group_state", state=group.state.value, partitions=list(group.partitions))
