"""The pipeline of some claimed partitions: fetch, fold and flush, until drained."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog
from aiokafka import AIOKafkaConsumer

from metering.worker.backlog import Backlog
from metering.worker.folder import Folder, Work
from metering.worker.guard import Guard
from metering.worker.intake import Intake
from metering.worker.landing import Lander
from metering.worker.owned import Owned
from metering.worker.pipeline import Pipeline
from metering.worker.services import Engine
from metering.worker.stops import Stop

log = structlog.get_logger(__name__)


class Witness(Protocol):
    """Who is told what becomes of the partitions."""

    def committed(self, works: Sequence[Work], backlog: Backlog) -> None:
        """A flush is committed."""

    def resumed(self) -> None:
        """Logs have been checked; their partitions go on."""

    def stopped(self, stop: Stop) -> None:
        """A partition is to be set aside; raises if there is no point in going on."""


class Counting:
    """Counts the partitions of one claim: a worker's tenure, or a replay."""

    def __init__(
        self, engine: Engine, consumer: AIOKafkaConsumer, owned: Mapping[int, Owned], witness: Witness
    ) -> None:
        backlog = Backlog(engine.settings, engine.settings.flush_interval_s, engine.rest_interval_s)
        on_stopped = witness.stopped
        fetchable = asyncio.Event()

        def resumed() -> None:
            fetchable.set()
            witness.resumed()

        guard = Guard(engine.topic, consumer, owned, backlog, on_stopped, resumed)
        instruments = engine.telemetry.instruments
        folder = Folder(
            owned, backlog, engine.database, engine.patience, engine.current, instruments, on_stopped
        )
        lander = Lander(
            backlog,
            folder,
            engine.flusher,
            engine.current,
            engine.telemetry.instruments,
            on_stopped,
            lambda works: witness.committed(works, backlog),
        )
        self._owned = owned
        self._backlog = backlog
        self._guard = guard
        self._intake = Intake(
            engine.settings,
            consumer,
            engine.topic.reader.raw,
            owned,
            backlog,
            fetchable,
            lambda owned: guard.suspend(owned, "offset out of range"),
            on_stopped,
        )
        self._pipeline = Pipeline(engine.settings, backlog, guard, folder, lander, engine.telemetry)

    async def run(self, draining: asyncio.Event, watchers: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Count until told to drain, then finish what was taken; the watchers run for as long.

        Raises:
            ExceptionGroup: whatever nobody can go on after; see `stops.first_cause`.
        """
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(watcher) for watcher in (self._guard.run(), *watchers)]
            fetching = tasks.create_task(self._intake.run())
            counting = tasks.create_task(self._pipeline.run(tasks))
            await draining.wait()
            fetching.cancel()
            self._backlog.close()
            await counting
            for watcher in running:
                watcher.cancel()
        log.info("drained", partitions={p: owned.committed.next_offset for p, owned in self._owned.items()})
