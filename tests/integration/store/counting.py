"""A worker's side of the store, as short as tests need it."""

from dataclasses import dataclass, field

from integration.store.batches import Log

from aggregator.batch import Batch
from aggregator.store.cache import StoreCache
from aggregator.store.claim import claim
from aggregator.store.connection import Connection
from aggregator.store.flush import flush
from aggregator.store.ledger import Stamp
from metering.dev.conditions import until

STAMP = Stamp("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "0.1.0/tests")


@dataclass
class Store:
    dsn: str
    schema: str
    owner: Connection
    worker: Connection
    kinds: dict[int, str]
    cache: StoreCache = field(default_factory=StoreCache)
    epochs: dict[int, int] = field(default_factory=dict)
    logs: dict[int, Log] = field(default_factory=dict)

    async def claim(self) -> None:
        """Claim both partitions, and begin logs where they stand."""
        for claimed in await claim(self.worker, [0, 1], "tests"):
            self.epochs[claimed.partition] = claimed.epoch
            log = Log(claimed.partition, claimed.next_offset, frontier_us=claimed.frontier_us)
            log.newest_time_us, log.last = claimed.newest_time_us, claimed.last
            self.logs[claimed.partition] = log

    async def flush(self, *batches: Batch) -> int:
        return (await flush(self.worker, batches, self.epochs, self.kinds, self.cache, STAMP)).statements

    async def rows(self, table: str) -> int:
        count = await self.owner.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - a test's own name
        assert isinstance(count, int)
        return count

    async def until_lock_waits(self, backends: int) -> None:
        """Wait until so many sessions of this database wait for a lock; the database says so."""

        async def waiting() -> bool:
            count = await self.owner.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            return bool(count >= backends)

        assert await until(waiting, deadline_s=20)
