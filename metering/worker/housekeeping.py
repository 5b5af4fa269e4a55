"""Keeps what is stored small, off the way of flushes: merges finished hours, drops what is old."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

import structlog

from aggregator.store import housekeeping, sources
from metering.process.patience import Patience
from metering.worker.database import Database
from metering.worker.folder import Work
from metering.worker.owned import Owned
from schemas.instant import HOUR_US

log = structlog.get_logger(__name__)

INTERVAL_S: Final = 30.0
SAME_HOUR_S: Final = 900.0
"""An hour that late events still trickle into is not merged more often than this."""


class Housekeeping:
    """Tidies up what this process has written."""

    def __init__(self, database: Database, patience: Patience) -> None:
        self._database = database
        self._patience = patience
        self._untidy: dict[tuple[int, int], Owned] = {}  # by partition and event hour
        self._tidied_at: dict[tuple[int, int], float] = {}  # monotonic

    def committed(self, works: Sequence[Work]) -> None:
        """Note where chunks were added."""
        for work in works:
            for hour in work.batch.ids:
                self._untidy[work.owned.partition, hour] = work.owned

    async def run(self) -> None:
        """Tidy up now and then until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            for key in self._due():
                owned = self._untidy.pop(key)
                await self._patience.until_done("merge ids", partial(self._merge, key, owned))
                self._tidied_at[key] = time.monotonic()
            await self._patience.until_done("drop what is old", self._drop)

    def _due(self) -> list[tuple[int, int]]:
        """Hours that are over in their partition."""
        before_s = time.monotonic() - SAME_HOUR_S
        self._tidied_at = {key: at_s for key, at_s in self._tidied_at.items() if at_s > before_s}
        return [
            key
            for key, owned in self._untidy.items()
            if key not in self._tidied_at and key[1] < (owned.committed.frontier_us or 0) // HOUR_US
        ]

    async def _merge(self, key: tuple[int, int], owned: Owned) -> None:
        async with self._database.chores.use() as connection:
            written = await housekeeping.compact_hour(connection, *key, owned.epoch)
        if written:
            log.info("ids_merged", partition=key[0], hour=key[1], chunks=written)

    async def _drop(self) -> None:
        async with self._database.chores.use() as connection:
            for day_us in await housekeeping.drop_days(connection):
                log.info("ids_dropped", day_us=day_us)
            await sources.drop_old(connection)
