"""Does what takes longer beside the looks, on a connection of its own, so that lag is told in time."""

import asyncio
import time
from typing import Final

import structlog

from metering.broker import broker_admin, read_topic
from metering.database import database
from metering.errors import MeteringError
from metering.observer.burden import Seasons, pile_report, unpaid_report
from metering.observer.counted import Accounts
from metering.observer.report import Report
from metering.process.exclusive import Turn
from metering.settings import Settings
from schemas.topic import UNLIMITED

log = structlog.get_logger(__name__)

RETENTION_S: Final = 15.0
"""How long Kafka keeps records is asked this often: who shortens it has little time left,"""

PILES_S: Final = 60.0
"""piles and weights are looked at this often,"""

UNPAID_S: Final = 300.0
"""and what costs a probe for each series this often."""

STATEMENT_S: Final = 120.0
KAFKA_S: Final = 5.0


class RareLooks:
    """What one turn looks at rarely; one task at a time."""

    def __init__(self, settings: Settings, turn: Turn) -> None:
        self.retention_us: int | None = None  # how long Kafka keeps records; None: for ever, or not known
        self._settings = settings.model_copy(update={"statement_timeout_s": STATEMENT_S})
        self._turn = turn
        self._seasons = Seasons()
        self._task: asyncio.Task[None] | None = None
        self._began_s = self._piles_began_s = self._unpaid_began_s = float("-inf")

    def begin(self, accounts: Accounts) -> None:
        """Look, if it is time and the last look has ended."""
        is_due = time.monotonic() - self._began_s >= RETENTION_S
        if is_due and (self._task is None or self._task.done()):
            self._began_s = time.monotonic()
            self._task = asyncio.create_task(self._look(accounts))

    async def ended(self) -> None:
        """Wait for the look under way."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    def cancel(self) -> None:
        """Look no more: another is at work."""
        if self._task is not None:
            self._task.cancel()

    async def _look(self, accounts: Accounts) -> None:
        self.retention_us = await self._read_retention(accounts)
        if time.monotonic() - self._piles_began_s < PILES_S:
            return
        self._piles_began_s = time.monotonic()
        try:
            async with database(self._settings) as connection:
                self._show(await pile_report(connection))
                self._show(await self._seasons.report(connection, accounts))
                if time.monotonic() - self._unpaid_began_s >= UNPAID_S:
                    self._unpaid_began_s = time.monotonic()
                    self._show(await unpaid_report(connection))
        except MeteringError as error:
            log.warning("rare_look_failed", error=error.sentence)

    def _show(self, report: Report | None) -> None:
        if report is not None and not self._turn.connection.is_closed():
            report.show(self._turn.instruments)

    async def _read_retention(self, accounts: Accounts) -> int | None:
        if accounts.topic is None:
            return None
        try:
            async with asyncio.timeout(KAFKA_S), broker_admin(self._settings) as admin:
                topic = await read_topic(admin, accounts.topic.name)
        except (MeteringError, TimeoutError):
            return None
        kept_ms = UNLIMITED if topic is None else int(topic.configs["retention.ms"])
        return None if kept_ms == UNLIMITED else kept_ms * 1000
