"""Brings batches into the database, once: repeats what was surely not done, asks about what is in doubt."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg
import structlog

from aggregator.batch import Batch
from aggregator.store.cache import StoreCache
from aggregator.store.errors import CatalogMoved, Fenced, StoreRejected, UnknownOutcome
from aggregator.store.flush import Flushed, Resolution, flush, resolve
from aggregator.store.ledger import Stamp
from metering.process.own_loop import OwnLoop
from metering.process.patience import Patience
from metering.telemetry import Instruments, catalogue
from metering.worker.database import Database

log = structlog.get_logger(__name__)

CONTRADICTION: Final = asyncpg.IntegrityConstraintViolationError
"""A flush that fails so is at odds with what is stored: a ledger row is there already, or a CHECK fails."""


class Flusher:
    """One flush at a time, each to its end.

    A flush is many round trips, and the process's loop is busy decoding and folding when each answer comes: a
    loop of its own does not keep the server, and the locks held there, waiting.
    """

    def __init__(self, database: Database, patience: Patience, worker: str, instruments: Instruments) -> None:
        self._database = database
        self._patience = patience
        self._worker = worker
        self._instruments = instruments
        self._cache = StoreCache()
        self._own_loop = OwnLoop("flushes")

    def close(self) -> None:
        """End the connection without a word, and the thread."""
        self._own_loop.close(self._database.flushes.terminate)

    async def write(
        self,
        batches: Sequence[Batch],
        epochs: Mapping[int, int],
        kinds: Mapping[int, str],
        trace_id: str | None,
        span_id: str | None,
    ) -> None:
        """Commit these batches in one transaction, however long the database is away.

        Raises:
            Fenced: a partition is no longer ours.
            CatalogMoved: fold again with the catalog's new head.
            StoreRejected: a value of some record cannot be stored.
            asyncpg.IntegrityConstraintViolationError: what is stored contradicts a batch.
            asyncio.CancelledError: the flush may or may not have been committed.
        """
        stamp = Stamp(trace_id, span_id, self._worker)

        async def attempt() -> bool:
            try:
                return await self._attempt(batches, epochs, kinds, stamp)
            except UnknownOutcome:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise asyncio.CancelledError from None
                return await self._resolved(batches, epochs)

        while not await self._patience.until_done("flush", attempt):
            log.info("flush_retried", partitions=[batch.partition for batch in batches])

    async def _attempt(
        self, batches: Sequence[Batch], epochs: Mapping[int, int], kinds: Mapping[int, str], stamp: Stamp
    ) -> bool:
        began_s = time.monotonic()
        result = "failed"
        try:
            flushed = await self._own_loop.run(self._flush(batches, epochs, kinds, stamp))
            result = "committed"
            self._measure(flushed)
        except (CatalogMoved, Fenced) as refusal:
            result = refusal.code
            raise
        except UnknownOutcome:
            result = "unknown"
            raise
        except asyncpg.InterfaceError as error:
            if isinstance(error, ValueError):  # asyncpg refuses a value, as the server would
                raise StoreRejected(str(error)) from error
            raise
        finally:
            self._instruments.record(catalogue.FLUSH_DURATION, time.monotonic() - began_s, result=result)
        return True

    def _measure(self, flushed: Flushed) -> None:
        self._instruments.record(catalogue.FLUSH_STATEMENTS, flushed.statements)
        for stage, seconds in flushed.stage_s.items():
            self._instruments.record(catalogue.FLUSH_STAGE_DURATION, seconds, stage=stage)

    async def _flush(
        self, batches: Sequence[Batch], epochs: Mapping[int, int], kinds: Mapping[int, str], stamp: Stamp
    ) -> Flushed:
        async with self._database.flushes.use() as connection:
            return await flush(connection, batches, epochs, kinds, self._cache, stamp)

    async def _resolved(self, batches: Sequence[Batch], epochs: Mapping[int, int]) -> bool:
        """Whether a doubtful flush is committed, by the word of the database itself."""
        ranges = {batch.partition: [batch.first_offset, batch.next_offset] for batch in batches}
        log.warning("unknown_outcome", ranges=ranges)
        resolution = await self._patience.until_done("resolve", lambda: self._ask(batches, epochs))
        log.warning("unknown_outcome_resolved", ranges=ranges, resolution=resolution.value)
        if resolution is Resolution.FENCED:
            self._instruments.add(catalogue.UNKNOWN_OUTCOMES, resolution="fenced")
            raise Fenced(list(ranges))
        committed = resolution is Resolution.COMMITTED
        self._instruments.add(catalogue.UNKNOWN_OUTCOMES, resolution="committed" if committed else "retried")
        return committed

    async def _ask(self, batches: Sequence[Batch], epochs: Mapping[int, int]) -> Resolution:
        async with self._database.fresh() as connection:
            return await resolve(connection, batches, epochs)
