"""Tells the database which partitions this process has set aside, for who waits elsewhere for them."""

import asyncio
from functools import partial

from aggregator.store import stops
from aggregator.store.stops import StandingStop
from metering.process.patience import Patience
from metering.worker.database import Database
from metering.worker.stops import Stop


class StopNotes:
    """Written beside counting: a partition stops whether the database hears of it or not."""

    def __init__(self, database: Database, patience: Patience) -> None:
        self._database = database
        self._patience = patience
        self._unwritten: asyncio.Queue[StandingStop] = asyncio.Queue()

    def note(self, stop: Stop, epoch: int) -> None:
        """Have a stop written down soon; it is that of the claim with this epoch."""
        self._unwritten.put_nowait(StandingStop(stop.partition, epoch, stop.offset, stop.code, stop.seen))

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            stop = await self._unwritten.get()
            await self._patience.until_done("note a stop", partial(self._write, stop))

    async def _write(self, stop: StandingStop) -> None:
        async with self._database.chores.use() as connection:
            await stops.record(connection, stop)
