"""`--until-caught-up`: done when all that was in the topic at the start is counted, by whoever has it."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import structlog

from aggregator.store import outbox, status
from aggregator.store.connection import Connection
from metering.process.patience import Patience
from metering.worker.database import Database

log = structlog.get_logger(__name__)

INTERVAL_S: Final = 0.25


class CaughtUp:
    """Compares what the database has counted with where the logs ended, every partition of them."""

    def __init__(
        self, ends: Mapping[int, int], database: Database, patience: Patience, counted: asyncio.Event
    ) -> None:
        self._ends = ends
        self._database = database
        self._patience = patience
        self._counted = counted

    async def wait(self) -> None:
        """Return when everything is counted and every misplaced record is republished and counted too."""
        while not await self._patience.until_done("look at what is counted", self._look):
            self._counted.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_S):
                    await self._counted.wait()
        log.info("caught_up", ends=dict(self._ends))

    async def _look(self) -> bool:
        async with self._database.chores.use() as connection:
            if not reached(await _next_offsets(connection), self._ends):
                return False
            # Whatever was misplaced among those is in the outbox by now.
            if await outbox.pending(connection):
                return False
            targets = await outbox.targets(connection)
            return reached(await _next_offsets(connection), targets)


async def _next_offsets(connection: Connection) -> dict[int, int]:
    return {row.partition: row.next_offset for row in await status.partitions(connection)}


def reached(next_offsets: Mapping[int, int], targets: Mapping[int, int]) -> bool:
    """Whether every partition is counted up to its target."""
    return all(next_offsets[partition] >= target for partition, target in targets.items())
