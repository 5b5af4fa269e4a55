"""When and why this process ends."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

import structlog

from metering.errors import StoppedError

log = structlog.get_logger(__name__)

Result = TypeVar("Result")


class StoppedEarlyError(Exception):
    """The process was told to stop before it had begun."""


class Shutdown:
    """Asked for once; the first reason is the one that counts."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.error: StoppedError | None = None

    def request(self, error: StoppedError | None = None) -> None:
        """Drain and end; with an error if there is one."""
        if not self.requested.is_set():
            self.error = error
            self.requested.set()

    def listen(self) -> None:
        """Obey SIGTERM and SIGINT: the first drains, a second one ends the process where it is."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._obey, number)

    async def unless(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do the work, unless the process is told to stop before it is done.

        Raises:
            StoppedEarlyError: it was.
        """
        task = asyncio.create_task(work)
        stopping = asyncio.create_task(self.requested.wait())
        try:
            await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise StoppedEarlyError
            return task.result()
        finally:
            stopping.cancel()
            task.cancel()
            await asyncio.wait((task,))

    def _obey(self, number: signal.Signals) -> None:
        if self.requested.is_set():
            _end_now(number)
        log.info("stopping", signal=number.name)
        self.request()


def _end_now(number: signal.Signals) -> NoReturn:
    # What is not committed is fetched again by the next owner, so there is nothing to save.
    log.warning("stopped", signal=number.name, drained=False)
    os._exit(128 + number)
