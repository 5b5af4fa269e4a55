"""What is said of meters, as it is scraped, against the log by another client: loaded, and without a worker.

Between two looks at how far is counted lies the one that was reported: so does each of its values, between
what the log comes to at the first and at the second. Where nothing is counted any more it is exactly that.
"""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from confluent_kafka import Consumer, TopicPartition
from integration.worker.fixtures import NewWorld
from integration.worker.world import METERS, Usage, World, apply_meters
from support.processes import CommandProcess, Commands
from support.telemetry import Samples, scraped

from metering.dev.conditions import until
from schemas.partitioner import murmur2_partition

PARTITIONS: Final = 3
SUBJECTS: Final = [
    next(name for name in map(str, range(100)) if murmur2_partition(name.encode(), PARTITIONS) == partition)
    for partition in range(PARTITIONS)
]
"""One for each partition."""

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
RULES_US: Final = {
    "tokens": (5 * MINUTE_US, HOUR_US),
    "calls": (HOUR_US, HOUR_US),
    "models": (24 * HOUR_US, HOUR_US),
}
"""Window and grace of each meter."""

UPLOADS: Final = "  - {name: uploads, event_type: upload, aggregation: count, window: 1m, grace: 0s}\n"
TYPES: Final = {**dict.fromkeys(RULES_US, "call"), "uploads": "upload"}
"""What each meter counts."""

LOOKS: Final = 6
STEPS: Final = 3
"""One may be under way when a step is waited for, and of another the values may not be shown yet."""


class Logged(NamedTuple):
    """A record as another client reads it."""

    timestamp_us: int
    id: str
    type: str


class Log:
    """The records of all partitions by their offsets, which have no gap here."""

    def __init__(self, consumer: Consumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic
        self._records: list[list[Logged]] = [[] for _ in range(PARTITIONS)]

    async def read(self, ends: Sequence[int]) -> None:
        """Know what lies before these offsets, and perhaps more."""
        for partition, end in enumerate(ends):
            if len(self._records[partition]) < end:
                await asyncio.to_thread(self._read, partition, end)

    def _read(self, partition: int, end: int) -> None:
        records = self._records[partition]
        self._consumer.assign([TopicPartition(self._topic, partition, len(records))])
        until_s = time.monotonic() + 60
        while len(records) < end:
            message = self._consumer.poll(2)
            if message is None:
                assert time.monotonic() < until_s
                # It keeps what it heard of the topic first, and that may have been before all was there.
                self._consumer.list_topics(self._topic, 30)
                continue
            assert message.error() is None
            if message.offset() < len(records):
                continue
            assert message.offset() == len(records)
            event = json.loads(message.value() or b"")
            records.append(Logged(message.timestamp()[1] * 1000, event["id"], event["type"]))

    def frontier_us(self, partition: int, end: int) -> int | None:
        """Greatest timestamp before an offset."""
        return max((one.timestamp_us for one in self._records[partition][:end]), default=None)

    def newest_us(self, event_type: str, batches: Collection["Batch"]) -> int | None:
        """The log time of the newest batch with an event of a type that is no copy."""
        seen: set[str] = set()
        newest_us: int | None = None
        for batch in sorted(batches):
            records = self._records[batch.partition][batch.first_offset : batch.next_offset]
            new = {one.id for one in records if one.type == event_type} - seen
            if new:
                log_us = self.frontier_us(batch.partition, batch.next_offset)
                newest_us = max(log_us or 0, newest_us or 0)
            seen |= new
        return newest_us


class Batch(NamedTuple):
    """What was counted at once."""

    partition: int
    first_offset: int
    next_offset: int


@dataclass(frozen=True)
class Stand:
    """How far is counted at one moment, and what the log comes to by then."""

    log: Log
    clock_us: int  # the database's
    batches: frozenset[Batch]
    next_offsets: tuple[int, ...]

    def newest_us(self, event_type: str) -> int | None:
        return self.log.newest_us(event_type, self.batches)

    @property
    def frontiers_us(self) -> list[int]:
        """Of all partitions."""
        found = [self.log.frontier_us(*one) for one in enumerate(self.next_offsets)]
        known = [one for one in found if one is not None]
        assert len(known) == PARTITIONS, "each has a record before anybody looks"
        return known

    @property
    def foremost_us(self) -> int:
        return max(self.frontiers_us)

    def final_before_us(self, window_us: int, grace_us: int) -> int:
        """Windows that begin before it are final: every log has come to their end and grace."""
        return (min(self.frontiers_us) - grace_us) // window_us * window_us

    def needed_us(self, window_us: int, grace_us: int) -> int:
        """The log time at which the next window is final."""
        return self.final_before_us(window_us, grace_us) + window_us + grace_us


class Look(NamedTuple):
    """What was scraped, and how the log stood before and after."""

    before: Stand
    closer: Samples
    observer: Samples
    after: Stand


@dataclass(frozen=True)
class Watch:
    """A closer and an observer at work, and a client that reads the log."""

    world: World
    log: Log
    closer: int  # its admin port
    observer: int

    async def stands(self) -> Stand:
        (row,) = await self.world.rows(
            "SELECT array_agg(next_offset ORDER BY partition) AS ends, clock_timestamp() AS now"
            " FROM ingest_partition"
        )
        ends = tuple(row["ends"])
        await self.log.read(ends)
        rows = await self.world.rows("SELECT partition, first_offset, next_offset FROM batch")
        batches = [Batch(**one) for one in rows]
        counted = frozenset(one for one in batches if one.next_offset <= ends[one.partition])
        assert sum(one.next_offset - one.first_offset for one in counted) == sum(ends)
        return Stand(self.log, row["now"], counted, ends)

    async def look(self) -> Look:
        """Both look once more, the closer first: what the observer sees rests on what is closed."""
        before = await self.stands()
        closer = await self._after(self.closer, "metering_close_duration_seconds_count")
        observer = await self._after(self.observer, "metering_observe_duration_seconds_count")
        return Look(before, closer, observer, await self.stands())

    async def _after(self, port: int, steps: str) -> Samples:
        """What a process shows when some more of its steps have ended."""
        began = (await scraped(port)).get((steps, ()), 0)
        shown: Samples = {}

        async def ended() -> bool:
            nonlocal shown
            shown = await scraped(port)
            return shown.get((steps, ()), 0) >= began + STEPS

        assert await until(ended, deadline_s=60)
        return shown


@contextmanager
def other_client(world: World) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": world.settings.kafka_bootstrap_servers,
            "group.id": "nobody",
            "enable.auto.commit": False,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


@asynccontextmanager
async def watching(world: World, commands: Commands) -> AsyncIterator[Watch]:
    """Start the two that report; the environment is that of the worker too."""
    settings = world.settings
    commands.environment |= {
        "METERING_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "METERING_TOPIC": settings.topic,
        "METERING_CONSUMER_GROUP": settings.consumer_group,
        "METERING_POSTGRES_DSN": settings.postgres_dsn.get_secret_value(),
        "METERING_POSTGRES_ROLE": "metering_worker",
        "METERING_ADMIN_PORT": "0",
        "METERING_LOG_FORMAT": "json",
        "METERING_FLUSH_INTERVAL_S": "0.1",
        "METERING_TICK_INTERVAL_S": "0.5",
        "METERING_CLOSE_INTERVAL_S": "0.05",
        "METERING_OBSERVE_INTERVAL_S": "0.1",
    }
    started = [commands.start("close"), commands.start("observe")]
    ports = [(await one.logged("admin_listening"))["port"] for one in started]
    with other_client(world) as consumer:
        yield Watch(world, Log(consumer, settings.topic), *ports)


@asynccontextmanager
async def under(publish: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Publish again and again."""
    over = asyncio.Event()

    async def load() -> None:
        while not over.is_set():
            await publish()

    task = asyncio.create_task(load())
    try:
        yield
    finally:
        over.set()
        await task


async def is_away(worker: CommandProcess) -> None:
    """Nobody counts any more."""
    worker.send_signal(signal.SIGTERM)
    assert await worker.ended(deadline_s=60) == 0


def of(shown: Samples, name: str, **labels: str) -> int | None:
    """What is shown, in microseconds."""
    value_s = shown.get((name, tuple(sorted(labels.items()))))
    return None if value_s is None else round(value_s * 1e6)


def freshness_is_right(look: Look) -> None:
    """How long ago the newest event of each meter was appended."""
    before, after = look.before, look.after
    for meter, event_type in TYPES.items():
        shown_us = of(look.observer, "metering_meter_freshness_seconds", meter=meter)
        earlier_us, later_us = before.newest_us(event_type), after.newest_us(event_type)
        if earlier_us is None or later_us is None:
            assert later_us is not None or shown_us is None
            continue
        assert shown_us is not None
        assert before.clock_us - later_us <= shown_us <= after.clock_us - earlier_us, meter


def finality_is_right(look: Look, rules_us: Mapping[str, tuple[int, int]]) -> None:
    """How far behind the foremost log what is final is, by the word of each of the two."""
    before, after = look.before, look.after
    for meter, rule_us in rules_us.items():
        least_us = before.foremost_us - after.final_before_us(*rule_us)
        most_us = after.foremost_us - before.final_before_us(*rule_us)
        overdue_least_us = max(0, before.foremost_us - after.needed_us(*rule_us))
        overdue_most_us = max(0, after.foremost_us - before.needed_us(*rule_us))
        for shown in (look.closer, look.observer):
            delay_us = of(shown, "metering_finality_delay_seconds", meter=meter)
            overdue_us = of(shown, "metering_finality_overdue_seconds", meter=meter)
            assert delay_us is not None
            assert least_us <= delay_us <= most_us, meter
            assert overdue_us is not None
            assert overdue_least_us <= overdue_us <= overdue_most_us, meter
        blocking_is_right(look, meter, rule_us)


def blocking_is_right(look: Look, meter: str, rule_us: tuple[int, int]) -> set[int | None]:
    """Which partition holds back the meter's next window, and by how much.

    Returns:
        Which it may be, None among them if it may be that none does.
    """
    before, after = look.before, look.after
    others_are_past_it = before.foremost_us >= after.needed_us(*rule_us)
    lacks = min(after.frontiers_us) < before.needed_us(*rule_us)
    may_block: set[int | None] = set()
    if after.foremost_us >= before.needed_us(*rule_us):
        furthest_us = min(after.frontiers_us)
        may_block |= {one for one, at_us in enumerate(before.frontiers_us) if at_us <= furthest_us}
    if not (others_are_past_it and lacks):
        may_block.add(None)
    shown = {
        int(dict(labels)["partition"]): round(value_s * 1e6)
        for (name, labels), value_s in look.observer.items()
        if name == "metering_finality_blocked_seconds" and dict(labels)["meter"] == meter
    }
    assert set(shown) <= may_block, meter
    assert shown or None in may_block, meter
    assert len(shown) <= 1, "one is the furthest behind"
    for partition, missing_us in shown.items():
        least_us = before.needed_us(*rule_us) - after.frontiers_us[partition]
        most_us = after.needed_us(*rule_us) - before.frontiers_us[partition]
        assert least_us <= missing_us <= most_us, meter
    return may_block


async def test_freshness_and_finality_delay_of_each_meter_under_load_and_while_no_worker_runs(
    new_world: NewWorld, commands: Commands
) -> None:
    world = await new_world(partitions=PARTITIONS)
    await apply_meters(world.database, METERS + UPLOADS)
    rules_us = {**RULES_US, "uploads": (MINUTE_US, 0)}
    async with watching(world, commands) as watch:
        worker = commands.start("worker")
        upload = Usage(SUBJECTS[0], 1, type="upload")
        await world.publish([upload, *(Usage(subject, 1) for subject in SUBJECTS)])
        await world.counts(1 + PARTITIONS)

        async def calls() -> None:  # the last partition has nothing but ticks
            await world.publish(Usage(subject, 1) for subject in SUBJECTS[:-1])

        async with under(calls):
            newest_us: set[int | None] = set()
            while len(newest_us) < LOOKS:
                look = await watch.look()
                freshness_is_right(look)
                finality_is_right(look, rules_us)
                newest_us.add(look.after.newest_us("call"))

        stood_us = look.after.newest_us("upload")
        await world.publish([upload])

        async def the_copy_is_counted() -> bool:
            return (await world.outcomes())["duplicate"] == 1

        assert await until(the_copy_is_counted, deadline_s=60)
        freshness_is_right(look := await watch.look())
        assert look.after.newest_us("upload") == stood_us, "a copy makes nothing fresh"

        await is_away(worker)
        await world.publish(Usage(subject, 1, type="upload") for subject in SUBJECTS)
        for _ in range(2):
            look = await watch.look()
            assert look.before.next_offsets == look.after.next_offsets
            freshness_is_right(look)
            finality_is_right(look, rules_us)
            for partition in range(PARTITIONS):
                assert look.observer["metering_lag_records", (("partition", str(partition)),)] > 0


class Pace:
    """Writes records whose time is its own, a little later each time; one partition may stand still."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._clock_us = (time.time_ns() // 1000 - 30 * HOUR_US) // HOUR_US * HOUR_US + 10 * MINUTE_US
        self._held: int | None = None
        self._held_us = 0

    def hold(self, partition: int | None) -> None:
        """The log of this one stands still, those of the others come to a later time."""
        if partition is not None:
            self._held_us = self._clock_us
            self._clock_us += 2 * HOUR_US
        self._held = partition

    async def publish(self) -> None:
        self._clock_us += SECOND_US // 10
        sent = []
        for partition, subject in enumerate(SUBJECTS):
            at_us = self._held_us if partition == self._held else self._clock_us
            event = Usage(subject, 1, time=datetime.fromtimestamp(at_us / 1e6, UTC))
            sent.append(
                await self._world.producer.send(
                    self._world.settings.topic,
                    event.value,
                    key=subject.encode(),
                    partition=partition,
                    timestamp_ms=at_us // 1000,
                )
            )
        await asyncio.gather(*sent)


async def test_what_holds_each_meter_back_under_load_and_while_no_worker_runs(
    new_world: NewWorld, commands: Commands
) -> None:
    world = await new_world(partitions=PARTITIONS, clock="record")
    pace = Pace(world)
    async with watching(world, commands) as watch:
        worker = commands.start("worker")
        await pace.publish()
        await world.counts(PARTITIONS)
        async with under(pace.publish):
            for held in (None, 2, None, 0):
                pace.hold(held)
                may_block: set[int | None] = set()
                while may_block != {held}:
                    look = await watch.look()
                    finality_is_right(look, RULES_US)
                    may_block = blocking_is_right(look, "calls", RULES_US["calls"])

        await is_away(worker)
        pace.hold(None)
        await pace.publish()
        for _ in range(2):
            look = await watch.look()
            assert look.before.next_offsets == look.after.next_offsets
            finality_is_right(look, RULES_US)
            assert blocking_is_right(look, "calls", RULES_US["calls"]) == {0}
