"""What the observer says of lag and age against the log by another client: under load, and alone."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Consumer, TopicPartition
from integration.worker.fixtures import NewWorld
from integration.worker.world import World, usages
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NoOpTracerProvider

from aggregator.store.connection import StoreOptions, connect
from metering.dev.conditions import until
from metering.observer.burden import unusual_subjects
from metering.observer.observer import Observer, SingleLook
from metering.process.exclusive import Turn
from metering.telemetry import make_telemetry

Key = tuple[str, tuple[tuple[str, str], ...]]


class Watching(NamedTuple):
    """An observer whose gauges can be read."""

    observer: Observer
    turn: Turn
    reader: InMemoryMetricReader

    async def look(self) -> Mapping[Key, float]:
        await self.observer.step(self.turn)
        data = self.reader.get_metrics_data()
        return {
            (metric.name, tuple(sorted((point.attributes or {}).items()))): point.value
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
            if hasattr(point, "value")
        }


@asynccontextmanager
async def watching(world: World, duty: type[Observer] = Observer, **changes: Any) -> AsyncIterator[Watching]:
    settings = world.with_settings(**changes)
    reader = InMemoryMetricReader()
    telemetry = make_telemetry(MeterProvider([reader], shutdown_on_exit=False), NoOpTracerProvider())
    connection = await connect(settings.postgres_dsn.get_secret_value(), StoreOptions(role="metering_worker"))
    try:
        yield Watching(duty(settings), Turn(connection, telemetry.instruments, asyncio.Event()), reader)
    finally:
        connection.terminate()


@contextmanager
def other_client(world: World) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": world.settings.kafka_bootstrap_servers,
            "group.id": "nobody",
            "enable.auto.commit": False,
            "isolation.level": "read_uncommitted",
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


class Stand(NamedTuple):
    """Where a partition stands, by the other client and plain SQL."""

    end: int
    next_offset: int


async def stands(world: World, consumer: Consumer) -> dict[int, Stand]:
    rows = await world.rows("SELECT partition, next_offset FROM ingest_partition")
    found = {}
    for row in rows:
        log = TopicPartition(world.settings.topic, row["partition"])
        _, end = await asyncio.to_thread(consumer.get_watermark_offsets, log, 30)
        found[row["partition"]] = Stand(end, row["next_offset"])
    return found


def last_timestamp_ms(world: World, consumer: Consumer, partition: int, end: int) -> int:
    """By reading the record."""
    consumer.assign([TopicPartition(world.settings.topic, partition, end - 1)])
    while True:
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        if message.offset() == end - 1:
            timestamp_ms: int = message.timestamp()[1]
            return timestamp_ms


def newest_event_us(world: World, consumer: Consumer, found: Mapping[int, Stand]) -> int | None:
    """Greatest time of an event in what is counted, by reading all of it."""
    times = []
    for partition, one in found.items():
        if one.next_offset == 0:
            continue
        consumer.assign([TopicPartition(world.settings.topic, partition, 0)])
        offset = -1
        while offset < one.next_offset - 1:
            message = consumer.poll(30)
            assert message is not None
            assert message.error() is None
            offset = message.offset()
            event = json.loads(message.value() or b"")
            if event["source"] == "tests" and offset < one.next_offset:
                times.append(datetime.fromisoformat(event["time"]))
    return max((round(time.timestamp() * 1e6) for time in times), default=None)


async def clock_us(world: World) -> int:
    (row,) = await world.rows("SELECT clock_timestamp() AS now")
    now_us: int = row["now"]
    return now_us


def of(seen: Mapping[Key, float], name: str, partition: int) -> float | None:
    return seen.get((name, (("partition", str(partition)),)))


async def test_lag_is_the_brokers_end_less_what_is_counted_under_load_and_while_no_worker_runs(
    new_world: NewWorld,
) -> None:
    world = await new_world(partitions=2, tick_interval_s=600)
    with other_client(world) as consumer:
        async with watching(world) as watch:
            async with world.worker():
                await _lag_is_right_under_load(world, watch, consumer)
                await world.counts(len(world.published))
                seen = await watch.look()
                assert [of(seen, "metering.lag.records", one) for one in range(2)] == [0, 0]
                assert [of(seen, "metering.lag.time", one) for one in range(2)] == [0, 0]
                assert seen["metering.group.state", (("state", "ok"),)] == 1
                assert ("metering.meter.freshness", (("meter", "calls"),)) in seen
            await world.publish(usages(100))  # nobody counts any more
            await _lag_is_right_at_rest(world, watch, consumer)


async def _lag_is_right_under_load(world: World, watch: Watching, consumer: Consumer) -> None:
    loaded = asyncio.Event()

    async def load() -> None:
        while not loaded.is_set():
            await world.publish(usages(20))

    task = asyncio.create_task(load())
    moved = set()
    while len(moved) < 6:
        began_us = await clock_us(world)
        before = await stands(world, consumer)
        seen = await watch.look()
        after = await stands(world, consumer)
        await _is_as_old_as_the_log_says(world, consumer, seen, began_us, before, after)
        for partition in before:
            lag = of(seen, "metering.lag.records", partition)
            if lag is None:
                continue  # a busy machine: the broker had no answer in time
            least = before[partition].end - after[partition].next_offset
            most = after[partition].end - before[partition].next_offset
            assert max(0, least) <= lag <= most
            moved.add((partition, after[partition].next_offset))
    loaded.set()
    await task


async def _is_as_old_as_the_log_says(
    world: World,
    consumer: Consumer,
    seen: Mapping[Key, float],
    began_us: int,
    before: Mapping[int, Stand],
    after: Mapping[int, Stand],
) -> None:
    """Between two looks at the clock and at how far is counted lies the one that was reported."""
    ended_us = await clock_us(world)
    least_us = await asyncio.to_thread(newest_event_us, world, consumer, before)
    most_us = await asyncio.to_thread(newest_event_us, world, consumer, after)
    if least_us is not None and most_us is not None:
        age_us = round(seen["metering.freshness", ()] * 1e6)
        assert began_us - most_us <= age_us <= ended_us - least_us


async def _lag_is_right_at_rest(world: World, watch: Watching, consumer: Consumer) -> None:
    began_us = await clock_us(world)
    found = await stands(world, consumer)
    seen = await watch.look()
    await _is_as_old_as_the_log_says(world, consumer, seen, began_us, found, found)
    for row in await world.rows("SELECT partition, frontier FROM ingest_partition"):
        partition = row["partition"]
        one = found[partition]
        assert one.end > one.next_offset
        assert of(seen, "metering.lag.records", partition) == one.end - one.next_offset
        newest_ms = await asyncio.to_thread(last_timestamp_ms, world, consumer, partition, one.end)
        expected_s = (newest_ms * 1000 - row["frontier"]) / 1e6
        assert of(seen, "metering.lag.time", partition) == pytest.approx(expected_s)
        assert of(seen, "metering.log.kept", partition) == one.next_offset


async def test_what_nobody_counts_is_stalled_or_without_an_owner_and_retention_runs(
    new_world: NewWorld,
) -> None:
    world = await new_world(partitions=1, tick_interval_s=600)
    await world.publish(usages(20))
    await world.catch_up()
    async with watching(world, SingleLook, health_window_s=0.01) as watch:

        async def is_gone() -> bool:
            seen = await watch.look()
            return seen.get(("metering.partition.state", (("partition", "0"), ("state", "no_owner")))) == 1

        assert await until(is_gone, deadline_s=60)  # the worker's connections end a moment after it
        seen = await watch.look()
    assert sum(value for (name, _), value in seen.items() if name == "metering.partition.state") == 1
    assert of(seen, "metering.partition.owned", 0) == 0
    assert of(seen, "metering.retention.left", 0) is None  # this topic is kept for ever
    assert seen["metering.duty.held", (("duty", "closer"),)] == 0
    assert seen["metering.database.size", ()] > 0
    assert seen["metering.unrated.events", ()] > 0
    assert ("metering.database.dead_rows", (("table", "usage_window"),)) in seen


async def test_a_subject_that_used_much_more_than_at_that_hour_before_is_found(new_world: NewWorld) -> None:
    world = await new_world(partitions=1)
    await world.publish(usages(5, subjects=5))
    await world.catch_up()
    hour_us = 1_790_000_000_000_000 // 3_600_000_000 * 3_600_000_000
    await world.database.execute(
        "SELECT ensure_partitions('usage_window', $1)", [hour_us - 7 * 24 * 3_600_000_000, hour_us]
    )
    (even, odd, *_) = await world.rows(
        "SELECT s.series_id, s.subject FROM series AS s JOIN meter_version AS v USING (meter_version_id)"
        " WHERE v.meter = 'calls' ORDER BY s.subject"
    )
    rows = [
        (series, hour_us - day * 24 * 3_600_000_000, 100 if day or series != odd["series_id"] else 900)
        for series in (even["series_id"], odd["series_id"])
        for day in range(8)
    ]
    await world.database.executemany(
        "INSERT INTO usage_window (series_id, window_start, shard, first_offset, last_offset, events)"
        " VALUES ($1, $2, 0, 0, 10000, $3)",
        rows,
    )
    assert await unusual_subjects(world.database, hour_us) == {"calls": [odd["subject"]]}
    assert await unusual_subjects(world.database, hour_us - 24 * 3_600_000_000) == {}


async def test_a_meter_that_has_stopped_is_silent_only_once_the_log_has_gone_on(new_world: NewWorld) -> None:
    world = await new_world(partitions=1)
    second_us, begin_us = 1_000_000, 1_790_000_000_000_000
    await world.database.execute("SELECT ensure_partitions('batch_meter', $1)", [begin_us])
    (calls,) = await world.rows("SELECT meter_version_id FROM meter_version WHERE meter = 'calls'")
    await world.database.executemany(
        "INSERT INTO batch_meter (partition, first_offset, log_time, meter_version_id, matched, increments,"
        " adjustments, errors, increment_sum, adjustment_sum) VALUES (0, $1, $2, $3, 1, 1, 0, 0, 1, 0)",
        [(number, begin_us + number * second_us, calls["meter_version_id"]) for number in range(50)],
    )
    silent = ("metering.meter.silent", (("meter", "calls"),))
    async with watching(world) as watch:
        for frontier_us, expected in [(begin_us + 50 * second_us, 0), (begin_us + 300 * second_us, 1)]:
            await world.database.execute("UPDATE ingest_partition SET frontier = $1", frontier_us)
            seen = await watch.look()
            assert seen[silent] == expected
            assert ("metering.meter.silent", (("meter", "tokens"),)) not in seen


async def test_without_brokers_what_only_they_know_is_not_reported(new_world: NewWorld) -> None:
    world = await new_world(partitions=1, tick_interval_s=600)
    await world.publish(usages(20))
    async with world.worker():
        await world.counts(20)
        async with watching(world) as watch:
            assert of(await watch.look(), "metering.lag.records", 0) == 0
        async with watching(world, kafka_bootstrap_servers="127.0.0.1:1") as away:
            seen = await away.look()
    names = {name for name, _ in seen}
    assert not {"metering.lag.records", "metering.lag.time", "metering.log.kept"} & names
    assert not {"metering.partition.state", "metering.group.state"} & names
    assert {"metering.frontier.timestamp", "metering.partition.owned", "metering.duty.held"} <= names
