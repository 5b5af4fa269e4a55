"""Brings folded work to its commit, whatever the database says to it."""

from collections.abc import Callable, Sequence

import structlog

from aggregator.reading import Reading, split
from aggregator.state import settled
from aggregator.store.errors import CatalogMoved, StoreRejected
from metering.telemetry import BatchTrace, Instruments, catalogue
from metering.worker.backlog import Backlog
from metering.worker.catalog import CurrentCatalog
from metering.worker.flushing import CONTRADICTION, Flusher
from metering.worker.folder import Folder, Work
from metering.worker.stops import Stop
from schemas.codes import Code

log = structlog.get_logger(__name__)


class Lander:
    """Commits for one tenure."""

    def __init__(
        self,
        backlog: Backlog,
        folder: Folder,
        flusher: Flusher,
        current: CurrentCatalog,
        instruments: Instruments,
        on_stopped: Callable[[Stop], None],
        on_committed: Callable[[Sequence[Work]], None],
    ) -> None:
        self._backlog = backlog
        self._folder = folder
        self._flusher = flusher
        self._current = current
        self._instruments = instruments
        self._on_stopped = on_stopped
        self._on_committed = on_committed

    async def land(self, works: Sequence[Work], trace: BatchTrace) -> None:
        """Commit all of it in one transaction; in smaller ones if a value in it cannot be stored.

        Raises:
            Fenced: a partition is no longer ours.
        """
        try:
            with trace.step("flush"):
                try:
                    await self._commit(works, trace)
                except (StoreRejected, CONTRADICTION) as error:
                    log.warning(
                        "flush_divided", partitions=[w.owned.partition for w in works], error=str(error)
                    )
                    for work in works:
                        await self._commit_divided(work, work.reading, trace)
        except BaseException as error:
            trace.fail(getattr(error, "code", type(error).__name__))
            raise
        finally:
            trace.end()
            self._backlog.release([work.stretch for work in works])

    async def _commit(self, works: Sequence[Work], trace: BatchTrace) -> None:
        while True:
            try:
                await self._flusher.write(
                    [work.batch for work in works],
                    {work.owned.partition: work.owned.epoch for work in works},
                    self._current.catalog.kinds,
                    trace.trace_id,
                    trace.span_id,
                )
            except CatalogMoved:
                await self._current.reload()
                for work in works:
                    await self._fold_from_committed(work, work.reading, work.rejected)
                self._instruments.add(catalogue.CATALOG_REFOLDS, len(works))
            else:
                break
        for work in works:
            self._advance(work)
        self._on_committed(works)

    async def _commit_divided(
        self, work: Work, reading: Reading, trace: BatchTrace, rejected: frozenset[int] = frozenset()
    ) -> None:
        """Commit in halves until the record whose value is refused stands alone; quarantine that."""
        await self._fold_from_committed(work, reading, rejected)
        try:
            await self._commit([work], trace)
        except CONTRADICTION as error:
            work.owned.suspend()
            self._backlog.drop(work.owned.partition)
            self._on_stopped(
                Stop(Code.CORRUPT_LEDGER, work.owned.partition, reading.first_offset, str(error))
            )
        except StoreRejected as error:
            if rejected or not reading.records:
                raise
            if len(reading.records) == 1:
                offset = reading.records[0].offset
                log.warning("store_rejected", partition=work.owned.partition, offset=offset, error=str(error))
                await self._commit_divided(work, reading, trace, frozenset({offset}))
            else:
                for half in split(reading, reading.records[len(reading.records) // 2].offset):
                    if work.owned.stop is None:
                        await self._commit_divided(work, half, trace)

    async def _fold_from_committed(
        self, work: Work, reading: Reading, rejected: frozenset[int] = frozenset()
    ) -> None:
        owned = work.owned
        work.reading, work.rejected = reading, rejected
        work.batch = await self._folder.fold_on(owned.committed, reading, rejected)
        owned.newest = work.batch.next_state
        owned.rewinds += 1
        work.rewinds = owned.rewinds

    def _advance(self, work: Work) -> None:
        owned, windows_us = work.owned, self._current.catalog.windows_us
        committed = work.batch.next_state
        newest = owned.newest
        owned.committed = settled(committed, committed, windows_us)
        owned.newest = owned.committed if newest is committed else settled(newest, committed, windows_us)
