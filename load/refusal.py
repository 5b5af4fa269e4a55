"""What the refusal behind the watermark costs a flush: the same batches into two schemas, one without it.

The workload of the bench, folded beforehand; each batch goes into both schemas right after one another, the
other one first each time. What is compared is the processor time of the server process that writes, so that
others on the machine matter little. `looked up`: another meter's watermark is newer than every window of the
batch, so that each row is looked up; else the first comparison is enough, as it is while meters have about
the same window and grace.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import cyclopts
import psutil
from hot_path import RULES, Log, fetched
from rich.console import Console
from rich.table import Table
from servers import directory
from workload import CATALOG

from aggregator.applying.catalog_plan import plan
from aggregator.batch import Batch
from aggregator.catalog import Catalog, compile_catalog
from aggregator.state import Claimed, opened, settled
from aggregator.store import catalog as stored_catalog
from aggregator.store import finality, load, migrate, topic
from aggregator.store.cache import StoreCache
from aggregator.store.claim import claim
from aggregator.store.connection import Connection, StoreOptions, connect
from aggregator.store.flush import flush
from aggregator.store.ledger import Stamp
from metering.dev.postgres.server import PostgresServer
from metering.worker import folding
from metering.worker.backlog import joined
from schemas.catalog import load_catalog
from schemas.topic import TopicContract

PULSE: Final = "  - {name: pulse, event_type: none, aggregation: count, window: 1m, grace: 0s}\n"
"""A meter that counts nothing and is final at once: its watermark is newer than the other meters' windows."""

GUARDED, BARE = "guarded", "bare"
CASES: Final = {"first comparison": CATALOG, "looked up": CATALOG + PULSE}
STAMP: Final = Stamp(None, None, "load/refusal.py")
WARM_UP_FLUSHES: Final = 2

DROP_GUARDS: Final = """
DO $$
DECLARE
    guard record;
BEGIN
    FOR guard IN
        SELECT g.tgname, c.relname FROM pg_trigger AS g JOIN pg_class AS c ON c.oid = g.tgrelid
        WHERE c.relnamespace = current_schema()::regnamespace AND g.tgname LIKE 'final\\_%'
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %I', guard.tgname, guard.relname);
    END LOOP;
END $$
"""


@dataclass
class Schema:
    """One of the two, and a worker's connection to it."""

    connection: Connection
    server: psutil.Process  # the one behind the connection
    epochs: Mapping[int, int]
    catalog: Catalog
    cache: StoreCache

    async def flush_s(self, batches: Sequence[Batch]) -> float:
        """Write batches; the processor time that the server used for it."""
        before_s = self._used_s()
        await flush(self.connection, batches, self.epochs, self.catalog.kinds, self.cache, STAMP)
        return self._used_s() - before_s

    def _used_s(self) -> float:
        times = self.server.cpu_times()
        return float(times.user + times.system)


async def make(dsn: str, name: str, meters: str) -> Schema:
    """A schema that counts the workload's topic by these meters."""
    owner = await connect(dsn, StoreOptions(schema=name))
    await migrate.up(owner)
    await topic.apply(
        owner,
        TopicContract(name=RULES.name, partitions=RULES.partitions),
        dict.fromkeys(range(RULES.partitions), 0),
    )
    rules = await load.topic_rules(owner)
    async with stored_catalog.exclusive(owner) as state:
        planned = plan(state.catalog.versions, load_catalog(meters, "meters").meters, [], rules)
        await stored_catalog.insert_versions(owner, planned.effects, "load")
    if name.startswith(BARE):
        await owner.execute(DROP_GUARDS)
    await owner.close()
    worker = await connect(dsn, StoreOptions(schema=name, role="metering_worker"))
    claimed = await claim(worker, range(RULES.partitions), "load")
    epochs = {one.partition: one.epoch for one in claimed}
    server = psutil.Process(await worker.fetchval("SELECT pg_backend_pid()"))
    return Schema(worker, server, epochs, compile_catalog(await load.catalog(worker)), StoreCache())


async def measure(dsn: str, case: str, flushes: int, records: int) -> dict[str, list[float]]:
    """Processor seconds of each flush, by schema."""
    prefix = case.replace(" ", "_")
    schemas = {kind: await make(dsn, f"{kind}_{prefix}", CASES[case]) for kind in (GUARDED, BARE)}
    log, catalog = Log(), schemas[GUARDED].catalog
    states = [opened(RULES, Claimed(p, 0, None, None, None), b"", {}) for p in range(RULES.partitions)]
    spent_s: dict[str, list[float]] = defaultdict(list)
    for turn in range(WARM_UP_FLUSHES + flushes):
        stretches = fetched(log, records, states)
        batches = []
        for state, parts in zip(list(states), stretches, strict=True):
            _, stop, batch = folding.fold_stretch(joined(parts), state, catalog, time.time_ns() // 1000)
            if stop is not None or not isinstance(batch, Batch):
                raise TypeError(f"the fold gave {batch}, and {stop} to stop at")
            states[batch.partition] = settled(batch.next_state, batch.next_state, catalog.windows_us)
            batches.append(batch)
        for kind in (GUARDED, BARE) if turn % 2 else (BARE, GUARDED):
            took_s = await schemas[kind].flush_s(batches)
            if turn >= WARM_UP_FLUSHES:
                spent_s[kind].append(took_s)
            await finality.close(schemas[kind].connection)
    for schema in schemas.values():
        await schema.connection.close()
    return spent_s


async def main(*, flushes: int = 20, records: int = 100_000) -> None:
    """Print the server's processor time per flush, with and without the guards.

    Args:
        flushes: how many are measured, in each case.
        records: in each of them, over six partitions.
    """
    table = Table("case", "without, ms", "with, ms", "ratio of sums", "median of ratios")
    with directory() as home:
        postgres = PostgresServer.create(home)
        try:
            await postgres.start()
            for case in CASES:
                spent_s = await measure(postgres.dsn(), case, flushes, records)
                sums_s = {kind: sum(of_kind) for kind, of_kind in spent_s.items()}
                ratios = [a / b for a, b in zip(spent_s[GUARDED], spent_s[BARE], strict=True)]
                times = [f"{sums_s[kind] / flushes * 1000:.1f}" for kind in (BARE, GUARDED)]
                ratio = sums_s[GUARDED] / sums_s[BARE]
                table.add_row(case, *times, f"{ratio:.3f}", f"{median(ratios):.3f}")
        finally:
            postgres.remove()
    Console().print(table)


if __name__ == "__main__":
    app = cyclopts.App(default_command=main)
    asyncio.run(app.run_async())
