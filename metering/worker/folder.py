"""Folds what was fetched, partition by partition so that heartbeats go on; first loads what a fold lacks.

The loop folds by itself: a folding thread and the loop would take turns on the interpreter's lock thousands
of times a second.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aggregator.batch import Batch
from aggregator.fold import fold
from aggregator.reading import Reading
from aggregator.state import Needs, PartitionState, supplied
from aggregator.store import load
from metering.process.patience import Patience
from metering.telemetry import Instruments, catalogue
from metering.worker.backlog import Backlog, Stretch
from metering.worker.catalog import CurrentCatalog
from metering.worker.database import Database
from metering.worker.folding import fold_stretch
from metering.worker.owned import Owned
from metering.worker.stops import Stop


@dataclass(slots=True, eq=False)
class Work:
    """What was folded of a stretch. `rewinds` are the partition's at that time."""

    owned: Owned
    stretch: Stretch
    reading: Reading
    batch: Batch
    rewinds: int
    rejected: frozenset[int] = frozenset()  # offsets in `reading` whose values the database has refused

    @property
    def is_stale(self) -> bool:
        """Whether its records are to be fetched again, so that it must not be flushed."""
        return self.stretch.generation != self.owned.generation


class Folder:
    """Folds for one tenure."""

    def __init__(
        self,
        owned: Mapping[int, Owned],
        backlog: Backlog,
        database: Database,
        patience: Patience,
        current: CurrentCatalog,
        instruments: Instruments,
        on_stopped: Callable[[Stop], None],
    ) -> None:
        self._owned = owned
        self._backlog = backlog
        self._database = database
        self._patience = patience
        self._current = current
        self._instruments = instruments
        self._on_stopped = on_stopped

    async def fold_new(self, stretches: Sequence[Stretch]) -> list[Work]:
        """Fold each stretch on the state that its partition's batch in flight will leave behind."""
        for stretch in stretches:
            await self._reached(stretch)
        stretches = [stretch for stretch in stretches if self._is_wanted(stretch)]
        begun = [self._owned[stretch.partition] for stretch in stretches]
        rewinds = [owned.rewinds for owned in begun]
        jobs = [(stretch, owned.newest) for stretch, owned in zip(stretches, begun, strict=True)]
        catalog, now_us = self._current.catalog, time.time_ns() // 1000
        folded = []
        for stretch, state in jobs:
            folded.append(fold_stretch(stretch, state, catalog, now_us))
            await asyncio.sleep(0)  # heartbeats, fetches and the flush in flight have their turn
        works = []
        for stretch, owned, folds, (reading, stop, result) in zip(
            stretches, begun, rewinds, folded, strict=True
        ):
            if reading is None or result is None:
                self._backlog.release([stretch])
            elif isinstance(result, Batch):
                works.append(self._followed(Work(owned, stretch, reading, result, folds)))
            elif (work := await self._fold_with(result, owned, stretch, reading)) is not None:
                works.append(work)
            if stop is not None:
                self._backlog.drop(stretch.partition)
                self._on_stopped(stop)
        return works

    async def fold_again(self, work: Work) -> None:
        """Fold on the newest state, which is not the one that it was folded on."""
        work.rewinds = work.owned.rewinds
        work.batch = await self.fold_on(work.owned.newest, work.reading)
        self._followed(work)

    async def fold_on(
        self, state: PartitionState, reading: Reading, rejected: frozenset[int] = frozenset()
    ) -> Batch:
        """Fold on this state, with whatever the database has to supply."""
        catalog = self._current.catalog
        while isinstance(result := fold(reading, state, catalog, rejected), Needs):
            state = await self._supply(state, result)
        return result

    async def _fold_with(self, needs: Needs, owned: Owned, stretch: Stretch, reading: Reading) -> Work | None:
        if needs.archive_hours and owned.flight is not None:
            # The ids in flight may be of these hours, and the database does not have them yet.
            await asyncio.wait([owned.flight])
        await self._reached(stretch)
        if not self._is_wanted(stretch):
            return None
        rewinds = owned.rewinds
        return self._followed(
            Work(owned, stretch, reading, await self.fold_on(owned.newest, reading), rewinds)
        )

    async def _reached(self, stretch: Stretch) -> None:
        """Wait until the partition's newest state ends where this begins.

        The batch in flight leaves that state behind, unless it is being divided: then `newest` stands
        somewhere inside of it until the last part is committed.
        """
        owned = self._owned[stretch.partition]
        if owned.newest.next_offset != stretch.reading.first_offset and owned.flight is not None:
            await asyncio.wait([owned.flight])

    def _is_wanted(self, stretch: Stretch) -> bool:
        """Whether it is not to be fetched again; if it is, it is let go."""
        if stretch.generation == self._owned[stretch.partition].generation:
            return True
        self._backlog.release([stretch])
        return False

    def _followed(self, work: Work) -> Work:
        if work.rewinds == work.owned.rewinds and not work.is_stale:
            work.owned.newest = work.batch.next_state
        return work

    async def _supply(self, state: PartitionState, needs: Needs) -> PartitionState:
        began_s = time.monotonic()

        async def read() -> PartitionState:
            async with self._database.loads.use() as connection:
                archive = await load.archive(connection, state.partition, needs.archive_hours)
                groups = await load.groups(connection, state.partition, needs.group_keys)
            return supplied(state, archive, groups)

        state = await self._patience.until_done("load for a fold", read)
        self._instruments.add(catalogue.LOADED_HOURS, len(needs.archive_hours))
        self._instruments.record(catalogue.LOAD_DURATION, time.monotonic() - began_s)
        return state
