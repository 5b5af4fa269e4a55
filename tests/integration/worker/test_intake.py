"""Every offset is accounted for: as a record, or as part of a gap, or the partition stops."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from integration.worker.fixtures import ProduceRaw, ProduceUndecodable, SettingsFactory
from support.topics import TopicFactory

from metering.dev.conditions import until
from metering.settings import Settings
from metering.worker.backlog import Backlog, Stretch
from metering.worker.clients import close_consumer, reading_consumer
from metering.worker.intake import Intake
from metering.worker.owned import Owned
from metering.worker.raw_log import RawLog
from metering.worker.stops import Stop
from schemas.codes import Code
from schemas.wire import Refusal


class Taken:
    """An intake at work, and everything it has put into its backlog."""

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer, partitions: Iterable[int]) -> None:
        self.consumer = consumer
        state: Any = None
        self.owned = {
            n: Owned(TopicPartition(settings.topic, n), 1, state, state, position=0, suspended=False)
            for n in partitions
        }
        consumer.assign([owned.log for owned in self.owned.values()])
        for owned in self.owned.values():
            consumer.seek(owned.log, 0)
        self.stops: list[Stop] = []
        self.out_of_range: list[int] = []
        self.backlog = Backlog(settings, settings.flush_interval_s, settings.flush_interval_s)
        self.intake = Intake(
            settings,
            consumer,
            RawLog(consumer, settings.topic),
            self.owned,
            self.backlog,
            asyncio.Event(),
            self._note_out_of_range,
            self._stop,
        )
        self._stretches: list[Stretch] = []

    def stretches(self, partition: int) -> list[Stretch]:
        self._stretches += self.backlog.take()
        return [stretch for stretch in self._stretches if stretch.partition == partition]

    def offsets(self, partition: int) -> list[int]:
        return [record.offset for stretch in self.stretches(partition) for record in stretch.records]

    def ranges_join(self, partition: int) -> bool:
        stretches = self.stretches(partition)
        pairs = pairwise(stretches)
        return stretches[0].reading.first_offset == 0 and all(
            a.reading.next_offset == b.reading.first_offset for a, b in pairs
        )

    async def reaches(self, partition: int, offset: int) -> bool:
        async def there() -> bool:
            stretches = self.stretches(partition)
            return bool(stretches) and stretches[-1].reading.next_offset >= offset

        return await until(there, deadline_s=30)

    def _note_out_of_range(self, owned: Owned) -> None:
        self.out_of_range.append(owned.partition)
        self._stop(Stop(Code.OFFSET_OUT_OF_RANGE, owned.partition, owned.position, "test"))

    def _stop(self, stop: Stop) -> None:
        owned = self.owned[stop.partition]
        owned.stop = stop
        self.consumer.pause(owned.log)
        self.stops.append(stop)


@asynccontextmanager
async def taking(settings: Settings, partitions: Iterable[int]) -> AsyncIterator[Taken]:
    consumer = reading_consumer(settings)
    await consumer.start()
    taken = Taken(settings, consumer, partitions)
    task = asyncio.create_task(taken.intake.run())
    try:
        yield taken
    finally:
        task.cancel()
        await asyncio.wait([task])
        await close_consumer(consumer)
        if not task.cancelled() and task.exception() is not None:
            task.result()


async def test_transactions_leave_gaps_and_nothing_else(
    topic: TopicFactory, settings_for: SettingsFactory, transactions: AIOKafkaProducer
) -> None:
    name = await topic()
    await transactions.begin_transaction()
    for value in (b"0", b"1"):
        await transactions.send_and_wait(name, value)
    await transactions.commit_transaction()  # marker at offset 2
    await transactions.begin_transaction()
    for value in (b"3", b"4"):
        await transactions.send_and_wait(name, value)
    await transactions.abort_transaction()  # marker at offset 5

    async with taking(settings_for(name), [0]) as taken:
        assert await taken.reaches(0, 6)
        assert taken.offsets(0) == [0, 1]
        assert taken.ranges_join(0)
        assert taken.stretches(0)[-1].reading.next_offset == 6, (
            "what lies at the end of the log is accounted for too"
        )


async def test_a_log_that_is_only_a_gap_moves_on(
    topic: TopicFactory, settings_for: SettingsFactory, transactions: AIOKafkaProducer
) -> None:
    name = await topic()
    await transactions.begin_transaction()
    await transactions.send_and_wait(name, b"0")
    await transactions.abort_transaction()

    async with taking(settings_for(name), [0]) as taken:
        assert await taken.reaches(0, 2)
        assert taken.offsets(0) == []


async def test_a_record_that_cannot_be_decoded_stops_its_partition_and_loses_nothing(
    topic: TopicFactory,
    settings_for: SettingsFactory,
    producer: AIOKafkaProducer,
    produce_undecodable: ProduceUndecodable,
) -> None:
    name = await topic(partitions=3)
    for _ in range(20):
        for partition in range(3):
            await producer.send(name, b"{}", partition=partition)
    await producer.flush()
    await produce_undecodable(name, 1)  # at offset 21
    for _ in range(20):
        for partition in range(3):
            await producer.send(name, b"{}", partition=partition)
    await producer.flush()

    async with taking(settings_for(name), range(3)) as taken:
        assert await taken.reaches(0, 40)
        assert await taken.reaches(2, 40)
        assert await taken.reaches(1, 21)

        async def has_stopped() -> bool:
            return bool(taken.stops)

        assert await until(has_stopped, deadline_s=30)
        (stop,) = taken.stops
        assert (stop.code, stop.partition, stop.offset) == (Code.UNDECODABLE_RECORD, 1, 21)
        assert "CorruptRecordException" in stop.seen
        assert taken.offsets(1) == list(range(21)), "what lies before it is counted"
        # aiokafka moves the other partitions' positions over records that it throws away with the error.
        assert taken.offsets(0) == taken.offsets(2) == list(range(40))
        assert all(taken.ranges_join(partition) for partition in range(3))


async def test_records_whose_headers_have_names_that_are_no_utf8_are_refused_and_nothing_else_is_lost(
    topic: TopicFactory,
    settings_for: SettingsFactory,
    producer: AIOKafkaProducer,
    transactions: AIOKafkaProducer,
    produce_raw: ProduceRaw,
) -> None:
    name = await topic(partitions=2)
    for partition in (0, 1):
        await producer.send_and_wait(name, b"{}", partition=partition)
    # An aborted transaction before, and a committed one after it, in the same fetch.
    for end in (transactions.abort_transaction, transactions.commit_transaction):
        await transactions.begin_transaction()
        await transactions.send_and_wait(name, b"{}", partition=0)
        await end()
        odd = [(b"{}", [(b"n\xfcme", b"v"), (b"name", b"\xfc")])]
        await produce_raw(name, 0, [(b"{}", []), *odd, *odd, (b"{}", [])])
    for partition in (0, 1):
        await producer.send_and_wait(name, b"{}", partition=partition)

    async with taking(settings_for(name), range(2)) as taken:
        assert await taken.reaches(0, 14)
        assert await taken.reaches(1, 2)
        assert not taken.stops
        assert taken.offsets(0) == [0, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13]
        assert taken.offsets(1) == [0, 1]
        assert all(taken.ranges_join(partition) for partition in range(2))
        read = [
            (record.offset, record.headers, event.code)
            for stretch in taken.stretches(0)
            for record, event in zip(stretch.records, stretch.reading.events, strict=True)
            if isinstance(event, Refusal) and event.code is Code.BAD_UTF8
        ]
        headers = (("n\udcfcme", b"v"), ("name", b"\xfc"))
        assert read == [(offset, headers, Code.BAD_UTF8) for offset in (4, 5, 10, 11)]


async def test_headers_count_as_bytes(
    topic: TopicFactory, settings_for: SettingsFactory, producer: AIOKafkaProducer
) -> None:
    name = await topic()
    for number in range(20):
        await producer.send(name, b"{}", key=b"key", headers=[("header", b"%04d" % number * 1000)])
    await producer.flush()
    async with taking(
        settings_for(name, flush_bytes=20_000, buffer_bytes=40_000, max_poll_records=5), [0]
    ) as taken:

        async def is_full() -> bool:
            return not taken.backlog.room_records

        assert await until(is_full, deadline_s=30)
        assert taken.backlog.held_records < 20
        assert taken.backlog.held_bytes == taken.backlog.held_records * (5 + 4006 + 6)


async def test_an_offset_outside_the_log_is_told(
    topic: TopicFactory, settings_for: SettingsFactory, producer: AIOKafkaProducer
) -> None:
    name = await topic(partitions=2)
    for partition in range(2):
        await producer.send_and_wait(name, b"{}", partition=partition)
    async with taking(settings_for(name), range(2)) as taken:
        taken.consumer.seek(TopicPartition(name, 1), 7)
        taken.owned[1].position = 7

        async def told() -> bool:
            return taken.out_of_range == [1]

        assert await until(told, deadline_s=30)
        assert await taken.reaches(0, 1)


async def test_fetching_waits_while_the_buffer_is_full(
    topic: TopicFactory, settings_for: SettingsFactory, producer: AIOKafkaProducer
) -> None:
    name = await topic()
    for _ in range(50):
        await producer.send(name, b"{}")
    await producer.flush()
    settings = settings_for(name, flush_records=10, buffer_records=20, max_poll_records=8)
    async with taking(settings, [0]) as taken:

        async def is_full() -> bool:
            return taken.backlog.held_records == 20

        assert await until(is_full, deadline_s=30)
        released: list[Stretch] = []
        while sum(len(stretch.records) for stretch in released) < 50:
            assert taken.backlog.held_records <= 20
            stretches = taken.backlog.take()
            taken.backlog.release(stretches)
            released += stretches
            await asyncio.sleep(0)
        assert [record.offset for stretch in released for record in stretch.records] == list(range(50))
