"""What a worker's memory of ids takes: one that claims ten million of them, beside one that claims none."""

import time
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import asyncpg
import numpy as np
from commands import Environment, running

from aggregator.memory import packed

IDS: Final = 10_000_000
CHUNKS: Final = 20  # per partition
HOUR_S: Final = 3_600
SAMPLES: Final = 20

_FORGET: Final = "TRUNCATE metering.dedupe_chunk"
_ENSURE: Final = "SELECT metering.ensure_partitions('dedupe_chunk', ARRAY[to_timestamp($1::bigint)])"
_INSERT: Final = """
    INSERT INTO metering.dedupe_chunk (event_hour, partition, first_offset, entries)
    VALUES (to_timestamp($1::bigint), $2, $3, $4)
"""


class Idle(NamedTuple):
    """A worker that has claimed its partitions and has nothing to do."""

    ids: int
    rss_bytes: float
    claim_s: float  # from the start of its work to the claim of all partitions, ids loaded


class Remembered(NamedTuple):
    """The same worker with and without ids."""

    full: Idle
    empty: Idle

    @property
    def ram_bytes_per_id(self) -> float:
        """What one id takes."""
        return (self.full.rss_bytes - self.empty.rss_bytes) / (self.full.ids - self.empty.ids)


async def remember(environment: Environment, partitions: int, home: Path) -> Remembered:
    """Start a worker without any id, and one with ten million.

    The ids are made up and take the place of those in the database, which is of no further use.
    """
    connection = await asyncpg.connect(environment["METERING_POSTGRES_DSN"])
    try:
        await connection.execute(_FORGET)
        empty = idle_worker(environment, home)
        await _insert_ids(connection, partitions)
    finally:
        await connection.close()
    return Remembered(idle_worker(environment, home), empty)


def idle_worker(environment: Environment, home: Path) -> Idle:
    """Start a worker, look at it when it has claimed its partitions, and let it go."""
    with running(environment, home, "worker") as idle:
        started = idle.wait_for("worker_started")
        claimed = idle.wait_for("partitions_claimed")
        samples = len(idle.samples) + SAMPLES
        while len(idle.samples) < samples:
            time.sleep(0.05)
        rss_bytes = median(sample.rss_bytes for sample in idle.samples[-SAMPLES // 2 :])
        idle.stop()
    return Idle(claimed["remembered_ids"], rss_bytes, claimed["at_s"] - started["at_s"])


async def _insert_ids(connection: "asyncpg.Connection[asyncpg.Record]", partitions: int) -> None:
    """Ids of events of this hour, in as many chunks as flushes would have made."""
    random = np.random.default_rng(1)
    hour = int(time.time()) // HOUR_S
    await connection.execute(_ENSURE, hour * HOUR_S)
    count = IDS // (partitions * CHUNKS)
    for partition in range(partitions):
        for chunk in range(CHUNKS):
            high, low = random.integers(2**64, size=(2, count), dtype=np.uint64)
            low = low & ~np.uint64(0xFF) | np.uint64(hour & 0xFF)
            await connection.execute(_INSERT, hour * HOUR_S, partition, chunk, packed(high, low))
