"""An owner of partitions that claims, folds and flushes as a worker does, but one step at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aggregator.catalog import Catalog, compile_catalog
from aggregator.fold import fold
from aggregator.reading import Reading, read
from aggregator.state import Claimed, Needs, PartitionState, live_since_hour, opened, settled, supplied
from aggregator.store import load
from aggregator.store.cache import StoreCache
from aggregator.store.claim import claim
from aggregator.store.connection import Connection, StoreOptions, connect
from aggregator.store.flush import Resolution, flush, resolve
from aggregator.store.ledger import Stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faults.topic_log import LogRecord

    from aggregator.batch import Batch


class Holding:
    """One partition in one owner's hands: what is committed, and batches that are folded but not flushed."""

    def __init__(self, epoch: int, state: PartitionState) -> None:
        self.epoch = epoch
        self.committed = self.newest = state
        self.readings: list[Reading] = []
        self.batches: list[Batch] = []


class Owner:
    """What it holds, and its connection; doubtful commits are asked about beside the proxy."""

    def __init__(self, name: str, dsn: str, proxied_dsn: str, options: StoreOptions) -> None:
        self.name = name
        self.holdings: dict[int, Holding] = {}
        self._dsn = dsn
        self._proxied_dsn = proxied_dsn
        self._options = options
        self._cache = StoreCache()
        self._catalog: Catalog | None = None
        self._connection: Connection | None = None

    async def claim(self, partition: int) -> None:
        connection = await self._connected()
        rules = await load.topic_rules(connection)
        (claimed,) = await claim(connection, [partition], self.name)
        assert claimed.ledger_joins
        place = Claimed(
            partition, claimed.next_offset, claimed.frontier_us, claimed.newest_time_us, claimed.last
        )
        since_hour = live_since_hour(rules, claimed.frontier_us)
        entries = await load.memory_entries(connection, partition, since_hour)
        self.holdings[partition] = Holding(claimed.epoch, opened(rules, place, entries, {}))
        self._catalog = compile_catalog(await load.catalog(connection))

    async def fold(self, partition: int, log: Sequence[LogRecord], count: int) -> None:
        holding = self.holdings[partition]
        first = holding.newest.next_offset
        ahead: list[Any] = [record for record in log if record.offset >= first][:count]
        if ahead:
            await self._fold(holding, read(partition, first, ahead[-1].offset + 1, ahead))

    async def flush(self, partitions: list[int]) -> None:
        """Flush the oldest batch of each of these partitions.

        Raises:
            Fenced, CatalogMoved, UnknownOutcome: as the store does.
        """
        assert self._catalog is not None
        await flush(
            await self._connected(),
            [self.holdings[partition].batches[0] for partition in partitions],
            {partition: holding.epoch for partition, holding in self.holdings.items()},
            self._catalog.kinds,
            self._cache,
            Stamp(None, None, self.name),
        )

    async def resolve(self, partitions: list[int]) -> Resolution:
        batches = [self.holdings[partition].batches[0] for partition in partitions]
        epochs = {partition: holding.epoch for partition, holding in self.holdings.items()}
        connection = await connect(self._dsn, self._options)
        try:
            return await resolve(connection, batches, epochs)
        finally:
            await connection.close()

    def committed(self, partitions: list[int]) -> None:
        assert self._catalog is not None
        for partition in partitions:
            holding = self.holdings[partition]
            batch = holding.batches.pop(0)
            holding.readings.pop(0)
            windows_us = self._catalog.windows_us
            holding.committed = settled(batch.next_state, batch.next_state, windows_us)
            holding.newest = settled(holding.newest, batch.next_state, windows_us)

    async def fold_again(self) -> None:
        """Everything that is not committed, with the catalog as it is now."""
        self._catalog = compile_catalog(await load.catalog(await self._connected()))
        for holding in self.holdings.values():
            readings, holding.readings, holding.batches = holding.readings, [], []
            holding.newest = holding.committed
            for reading in readings:
                await self._fold(holding, reading)

    async def crash(self) -> None:
        """Forget everything; the server ends what was open."""
        self.holdings.clear()
        self._cache = StoreCache()
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _fold(self, holding: Holding, reading: Reading) -> None:
        """Fold, loading what is missing; that waits until nothing is in flight."""
        assert self._catalog is not None
        if reading.first_offset != holding.newest.next_offset:
            return  # a reading before it had to wait, so this one is fetched again later
        result = fold(reading, holding.newest, self._catalog)
        while isinstance(result, Needs):
            if holding.batches:
                return
            connection = await self._connected()
            archive = await load.archive(connection, reading.partition, result.archive_hours)
            groups = await load.groups(connection, reading.partition, result.group_keys)
            holding.newest = supplied(holding.newest, archive, groups)
            result = fold(reading, holding.newest, self._catalog)
        holding.readings.append(reading)
        holding.batches.append(result)
        holding.newest = result.next_state

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._proxied_dsn, self._options)
        return self._connection
