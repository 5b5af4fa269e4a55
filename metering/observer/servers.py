"""Whether the servers answer: told by every observer, also while one of them is away."""

import asyncio
import time
from typing import Final

import structlog

from aggregator.store import server
from metering.database import database
from metering.errors import MeteringError
from metering.observer.logs import brokers
from metering.settings import Settings
from metering.telemetry import Instruments, catalogue

log = structlog.get_logger(__name__)

DATABASE: Final = "database"
BROKERS: Final = "brokers"
ANSWER_S: Final = 5.0


class ServerWatch:
    """Asks both servers again and again, on connections of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._up: dict[str, bool] = {}

    async def run(self, instruments: Instruments) -> None:
        """Ask until cancelled."""
        while True:
            await asyncio.gather(self._ask_database(instruments), self._ask_brokers(instruments))
            await asyncio.sleep(self._settings.observe_interval_s)

    async def _ask_database(self, instruments: Instruments) -> None:
        try:
            async with asyncio.timeout(ANSWER_S), database(self._settings) as connection:
                before_us = time.time_ns() // 1000
                there_us = await server.clock_us(connection)
                after_us = time.time_ns() // 1000
        except (MeteringError, TimeoutError) as error:
            self._tell(instruments, DATABASE, error)
            instruments.replace(catalogue.SERVER_SKEW, ())
            return
        self._tell(instruments, DATABASE, None)
        # Between the two looks at our clock nothing is known: only what lies outside of them is skew.
        skew_s = (max(0, there_us - after_us) - max(0, before_us - there_us)) / 1e6
        instruments.set(catalogue.SERVER_SKEW, skew_s, server=DATABASE)

    async def _ask_brokers(self, instruments: Instruments) -> None:
        try:
            async with brokers(self._settings):
                pass
        except MeteringError as error:
            self._tell(instruments, BROKERS, error)
        else:
            self._tell(instruments, BROKERS, None)

    def _tell(self, instruments: Instruments, name: str, error: Exception | None) -> None:
        is_up = error is None
        instruments.set(catalogue.SERVER_UP, int(is_up), server=name)
        if self._up.get(name, True) != is_up:
            log.warning("server_up" if is_up else "server_down", server=name, error=error and f"{error}")
        self._up[name] = is_up
