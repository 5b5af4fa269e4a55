"""`--until-caught-up`: done when all that was in the topic at the start is counted, by whoever has it."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Final, Literal

import structlog

from aggregator.store import outbox, status, stops
from aggregator.store.connection import Connection
from metering.process.patience import Patience
from metering.worker.database import Database
from metering.worker.stops import Stop
from schemas.codes import Code

log = structlog.get_logger(__name__)

INTERVAL_S: Final = 0.25


class CaughtUp:
    """Compares what the database has counted with where the logs ended, every partition of them.

    Args:
        ends: where the logs ended, by partition.
        epochs: of the partitions, before this process joined the group.
        database: of this process.
        patience: with it.
        counted: set at every commit of this process.
    """

    def __init__(
        self,
        ends: Mapping[int, int],
        epochs: Mapping[int, int],
        database: Database,
        patience: Patience,
        counted: asyncio.Event,
    ) -> None:
        self._ends = ends
        self._epochs = epochs
        self._database = database
        self._patience = patience
        self._counted = counted

    async def wait(self) -> Stop | None:
        """Wait until everything is counted and every misplaced record is republished and counted too.

        Returns:
            None; or why a partition that is not counted so far has been stopped by whoever owns it.
        """
        while (found := await self._patience.until_done("look at what is counted", self._look)) is not True:
            if isinstance(found, Stop):
                return found
            self._counted.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_S):
                    await self._counted.wait()
        log.info("caught_up", ends=dict(self._ends))
        return None

    async def _look(self) -> bool | Stop:
        async with self._database.chores.use() as connection:
            missing = behind(await _next_offsets(connection), self._ends)
            if missing:
                return await self._stop_of(connection, missing)
            # Whatever was misplaced among those is in the outbox by now.
            if await outbox.pending(connection):
                return False
            targets = await outbox.targets(connection)
            missing = behind(await _next_offsets(connection), targets)
            return await self._stop_of(connection, missing) if missing else True

    async def _stop_of(self, connection: Connection, partitions: Collection[int]) -> Stop | Literal[False]:
        """The first stop of these partitions, by a member of the group that this process has joined."""
        for stop in await stops.standing(connection):
            if stop.partition in partitions and stop.epoch > self._epochs[stop.partition]:
                return Stop(Code(stop.code), stop.partition, stop.offset, stop.seen)
        return False


async def _next_offsets(connection: Connection) -> dict[int, int]:
    return {row.partition: row.next_offset for row in await status.partitions(connection)}


def behind(next_offsets: Mapping[int, int], targets: Mapping[int, int]) -> frozenset[int]:
    """The partitions that are not counted up to their targets."""
    return frozenset(partition for partition, target in targets.items() if next_offsets[partition] < target)
