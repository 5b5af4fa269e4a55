"""From the backlog to the database: one batch is folded while the one before it is flushed.

A batch has one stretch of each partition that has something, and is one transaction. The next is folded on
the state that the one in flight will leave behind. Should that turn out otherwise (the catalog moved, a value
was refused), the partition's `rewinds` says so and the next is folded again before it takes off.
"""

import asyncio
import time
from collections.abc import Sequence

from metering.settings import Settings
from metering.telemetry import BatchTrace, Telemetry, catalogue
from metering.worker.backlog import Backlog, Stretch
from metering.worker.folder import Folder, Work
from metering.worker.guard import Guard
from metering.worker.landing import Lander


class Pipeline:
    """Folds and flushes what one tenure has fetched."""

    def __init__(
        self,
        settings: Settings,
        backlog: Backlog,
        guard: Guard,
        folder: Folder,
        lander: Lander,
        telemetry: Telemetry,
    ) -> None:
        self._settings = settings
        self._backlog = backlog
        self._guard = guard
        self._folder = folder
        self._lander = lander
        self._telemetry = telemetry

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Count until the backlog is closed and empty; `tasks` are those that end when this fails.

        Raises:
            Fenced: a partition is no longer ours.
            StoppedError: the topic itself is at fault.
        """
        flight: asyncio.Task[None] | None = None
        while await self._backlog.due():
            stretches = await self._guard.sift(self._backlog.take())
            if not stretches:
                continue
            trace = self._trace(stretches)
            works = await self._fold(stretches, trace)
            if flight is not None:
                await flight
            for work in works:
                if work.rewinds != work.owned.rewinds and not work.is_stale:
                    await self._folder.fold_again(work)
            # From here to the take-off nothing else runs, so what is not stale now is not when it is flushed.
            self._backlog.release([work.stretch for work in works if work.is_stale])
            works = [work for work in works if not work.is_stale]
            if works:
                flight = tasks.create_task(self._lander.land(works, trace))
                for work in works:
                    work.owned.flight = flight
            else:
                trace.end()
        if flight is not None:
            await flight

    async def _fold(self, stretches: Sequence[Stretch], trace: BatchTrace) -> list[Work]:
        began_s = time.monotonic()
        with trace.step("fold"):
            works = await self._folder.fold_new(stretches)
            self._telemetry.instruments.record(catalogue.FOLD_DURATION, time.monotonic() - began_s)
        return works

    def _trace(self, stretches: Sequence[Stretch]) -> BatchTrace:
        began_ns = min(stretch.fetch_began_ns for stretch in stretches)
        ended_ns = max(stretch.fetch_ended_ns for stretch in stretches)
        partitions = ",".join(str(stretch.partition) for stretch in stretches)
        trace = BatchTrace.start(self._telemetry.tracer, self._settings.topic, partitions, began_ns)
        trace.link_producers(max(stretches, key=lambda stretch: len(stretch.records)).records)
        trace.add_step("fetch", began_ns, ended_ns)
        self._telemetry.instruments.record(catalogue.FETCH_DURATION, (ended_ns - began_ns) / 1e9)
        return trace
