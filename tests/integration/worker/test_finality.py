"""Late events around the watermark, with workers and closers at work: what is final stays, all is counted."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, NamedTuple

from integration.worker.fixtures import NewWorld
from integration.worker.world import Usage, World

from aggregator.store import doctor, finality
from aggregator.store.connection import Connection
from metering.closer import Closer
from metering.dev.conditions import until
from metering.process import exclusive
from metering.process.shutdown import Shutdown
from schemas.partitioner import murmur2_partition

PARTITIONS: Final = 3
MINUTE_US: Final = 60_000_000
HOUR_US: Final = 60 * MINUTE_US
METERS: Final = {"tokens": (5 * MINUTE_US, HOUR_US), "calls": (HOUR_US, HOUR_US)}  # window and grace
SUBJECTS: Final = [f"subject-{number}" for number in range(7)]
EDGES_US: Final = [window_us + grace_us for window_us, grace_us in METERS.values()]
FINAL_ROWS: Final = """
SELECT w.*, s.meter_version_id
FROM usage_window AS w JOIN series AS s USING (series_id) JOIN meter_watermark AS m USING (meter_version_id)
WHERE w.window_start < m.final_before
"""


class Logged(NamedTuple):
    """One record of the log."""

    partition: int
    timestamp_us: int
    event: Usage
    time_us: int


class Counted(NamedTuple):
    """What became of events, by meter, subject and window start."""

    windows: Counter[tuple[str, str, int]]
    adjustments: Counter[tuple[str, str, int]]


def recount(log: list[Logged]) -> tuple[Counted, list[int]]:
    """The oracle: one loop over the log, and the frontiers at its end."""
    counted = Counted(Counter(), Counter())
    frontiers_us = [0] * PARTITIONS
    for one in log:
        frontiers_us[one.partition] = max(frontiers_us[one.partition], one.timestamp_us)
        for meter, (window_us, grace_us) in METERS.items():
            start_us = one.time_us // window_us * window_us
            is_late = frontiers_us[one.partition] >= start_us + window_us + grace_us
            amount = one.event.tokens if meter == "tokens" else 1
            into = counted.adjustments if is_late else counted.windows
            into[meter, one.event.subject, start_us] += amount
    return counted, frontiers_us


class Producer:
    """Writes events whose windows are just about final, on either side of the edge."""

    def __init__(self, world: World, seed: int) -> None:
        self.log: list[Logged] = []
        self._world = world
        self._random = Random(seed)
        self._clock_us = (time.time_ns() // 1000 - 30 * HOUR_US) // HOUR_US * HOUR_US

    async def publish(self, count: int) -> None:
        random = self._random
        for _ in range(count):
            self._clock_us += random.choice([0, 1000, MINUTE_US, 3 * MINUTE_US])
            await self._send(random.choice(SUBJECTS), self._clock_us - self._age_us())
        await self._world.producer.flush()

    async def advance_everywhere(self) -> None:
        """Every partition's log comes to one time, whichever subjects it was that were spoken of."""
        for subject in SUBJECTS:
            await self._send(subject, self._clock_us)
        await self._world.producer.flush()

    def _age_us(self) -> int:
        around_us = self._random.choice([-MINUTE_US, -1000, 0, 1000, MINUTE_US])
        edge_us = self._random.choice([0, 0, *EDGES_US, *(HOUR_US * hours for hours in (1, 2, 3))])
        return max(0, edge_us + around_us + self._clock_us % (5 * MINUTE_US) * self._random.choice([0, 1]))

    async def _send(self, subject: str, time_us: int) -> None:
        when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
        event = Usage(subject, self._random.randrange(1000), time=when)
        partition = murmur2_partition(subject.encode(), PARTITIONS)
        await self._world.producer.send(
            self._world.settings.topic,
            event.value,
            key=subject.encode(),
            partition=partition,
            timestamp_ms=self._clock_us // 1000,
        )
        self.log.append(Logged(partition, self._clock_us, event, time_us))


class Watcher:
    """Remembers each window as it is when it is first seen final."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._final_before_us: dict[int, int] = {}

    async def look(self) -> None:
        """No window seen before has changed, and none has come that begins where all was final before."""
        marks = await finality.final_before(self._connection)
        rows = await self._connection.fetch(FINAL_ROWS)
        now = {(row["series_id"], row["window_start"], row["shard"]): tuple(row) for row in rows}
        assert {key: now.get(key) for key in self.rows} == self.rows
        for row in rows:
            if (row["series_id"], row["window_start"], row["shard"]) not in self.rows:
                assert row["window_start"] >= self._final_before_us.get(row["meter_version_id"], 0)
        self.rows, self._final_before_us = now, marks


async def test_late_events_around_the_watermark_end_as_the_oracle_says(new_world: NewWorld) -> None:
    world = await new_world(
        partitions=PARTITIONS, clock="record", close_interval_s=0.01, flush_interval_s=0.02, flush_records=40
    )
    producer, watcher, shutdown = Producer(world, 20261128), Watcher(world.database), Shutdown()
    closers = [
        asyncio.create_task(exclusive.serve(world.settings, Closer(world.settings), shutdown))
        for _ in range(2)
    ]
    async with AsyncExitStack() as workers:
        await workers.enter_async_context(world.worker())
        for turn in range(8):
            if turn == 3:  # another worker joins, and partitions move
                await workers.enter_async_context(world.worker(instance="second"))
            await producer.publish(60)
            await producer.advance_everywhere()
            await world.counts(len(producer.log))
            await watcher.look()
    expected, frontiers_us = recount(producer.log)

    async def is_closed() -> bool:
        return await finality.closing(world.database) == min(frontiers_us)

    assert await until(is_closed, deadline_s=60)
    await watcher.look()
    assert len(watcher.rows) > 100
    shutdown.request()
    assert await asyncio.gather(*closers) == [0, 0]
    assert sum(expected.adjustments.values()) > 0
    assert await counted(world) == expected
    assert await doctor.checks(world.database) == []


async def counted(world: World) -> Counted:
    """The same, of the database."""
    windows = await world.rows(
        "SELECT v.meter, s.subject, w.window_start, sum(coalesce(w.value, w.events))::bigint AS amount"
        " FROM usage_window AS w JOIN series AS s USING (series_id) JOIN meter_version AS v"
        " USING (meter_version_id) WHERE v.meter = ANY ($1) GROUP BY 1, 2, 3",
        list(METERS),
    )
    adjustments = await world.rows(
        "SELECT v.meter, s.subject, a.window_start, sum(coalesce(a.value, 1))::bigint AS amount"
        " FROM adjustment AS a JOIN series AS s USING (series_id) JOIN meter_version AS v"
        " ON v.meter_version_id = a.meter_version_id WHERE v.meter = ANY ($1) GROUP BY 1, 2, 3",
        list(METERS),
    )
    return Counted(
        *(
            Counter({tuple(row.values())[:3]: row["amount"] for row in rows})
            for rows in (windows, adjustments)
        )
    )
