"""Listens and answers, from `start` to `stop`."""

import asyncio
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import uvicorn

from metering.api import probes
from metering.api.app import make_app
from metering.api.database import Database
from metering.api.limits import RateLimit
from metering.api.services import Services
from metering.errors import UsageError
from metering.settings import Settings
from metering.telemetry import Telemetry, catalogue

KEEP_ALIVE_S: Final = 75
"""Longer than the minute of most load balancers: they should be the ones to close."""

READY_EVERY_S: Final = 5.0
"""How often it asks itself whether it can serve, for the gauge: nobody else need ask."""

_BACKLOG: Final = 2048


class ApiServer:
    """One process's API; the database need not answer when it starts."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._settings = settings
        self._services = Services(
            settings=settings,
            telemetry=telemetry,
            database=Database(settings, telemetry.instruments),
            limit=RateLimit(settings.api_requests_per_s, settings.api_burst),
        )
        self._server = _Server(
            uvicorn.Config(
                make_app(self._services),
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=round(settings.drain_deadline_s),
            )
        )
        self._serving: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._tell_ready(is_ready=False)
        self.address: tuple[str, int] = (settings.api_host, settings.api_port)

    async def start(self) -> None:
        """Listen.

        Raises:
            UsageError: the address is taken or not ours (`settings_invalid`).
        """
        host, port = self.address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise UsageError("settings_invalid", f"The API's address cannot be used: {error}.") from error
        self.address = listening.getsockname()[:2]
        await self._services.database.open()
        self._serving = asyncio.create_task(self._server.serve([listening]))
        self._asking = asyncio.create_task(self._ask_itself())

    async def reasons(self) -> Mapping[str, str]:
        """Why it cannot serve, by what has the reason; nothing if it can."""
        return await probes.reasons(self._services)

    async def stop(self) -> None:
        """Take no more requests, finish those that were begun, and let the database go."""
        self._services.stopping.set()
        if self._asking is not None:
            self._asking.cancel()
        self._tell_ready(is_ready=False)
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
        await self._services.database.close()

    async def _ask_itself(self) -> None:
        while True:
            self._tell_ready(is_ready=not await self.reasons())
            await asyncio.sleep(READY_EVERY_S)

    def _tell_ready(self, *, is_ready: bool) -> None:
        self._services.telemetry.instruments.set(catalogue.READY, int(is_ready))


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process: they are logged, and a second one ends it at once."""
        yield
