"""Tells the database why counting has stopped, for who waits elsewhere and for who is on call."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Final

import asyncpg
import structlog

from aggregator.store import stops
from aggregator.store.connection import Connection
from aggregator.store.errors import StoreError
from aggregator.store.stops import StandingStop
from metering.process.patience import Patience
from metering.worker.database import Database
from metering.worker.stops import Stop, TopicStoppedError

log = structlog.get_logger(__name__)

LAST_WORDS_S: Final = 5.0
"""A process that has to end waits no longer for a database that may be away."""

Note = Callable[[Connection], Awaitable[None]]


class StopNotes:
    """Written beside counting: a partition stops whether the database hears of it or not."""

    def __init__(self, database: Database, patience: Patience, owner: str) -> None:
        self._database = database
        self._patience = patience
        self._owner = owner
        self._unwritten: list[Note] = []
        self._wanted = asyncio.Event()

    def note(self, stop: Stop, epoch: int) -> None:
        """Have a stop written down soon; it is that of the claim with this epoch."""
        standing = StandingStop(stop.partition, epoch, stop.offset, stop.code, stop.seen)
        self._unwritten.append(partial(stops.record, stop=standing))
        self._wanted.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._patience.until_done("note a stop", self._write)

    async def finish(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Write the rest before the process ends; if the topic ends it, that of every partition too."""
        if isinstance(error, TopicStoppedError):
            note = partial(stops.record_topic, code=error.code, seen=error.seen, owner=self._owner)
            self._unwritten.append(note)
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await self._write()
        except (OSError, TimeoutError, StoreError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
            log.warning("stop_not_noted", error=repr(problem))

    async def _write(self) -> None:
        while self._unwritten:
            async with self._database.chores.use() as connection:
                await self._unwritten[0](connection)
            self._unwritten.pop(0)
