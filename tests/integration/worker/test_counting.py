"""What is published is counted once: across batches, restarts, copies, refusals, gaps and wrong places."""

import asyncio
import random
from dataclasses import replace
from datetime import timedelta

from aiokafka import AIOKafkaProducer
from integration.worker.fixtures import NewWorld, ProduceRaw
from integration.worker.world import METERS, Usage, apply_meters, usages

from aggregator.store.headers import read_headers
from metering.dev.conditions import until
from schemas.codes import Code
from schemas.event import MAX_BESIDE_VALUE_BYTES, MAX_VALUE_BYTES
from schemas.partitioner import murmur2_partition
from schemas.repair import REPAIR_HEADER

SMALL_BATCHES = {"flush_records": 40, "flush_interval_s": 0.05, "max_poll_records": 15, "buffer_records": 120}


async def test_everything_is_counted_once_whatever_is_repeated(new_world: NewWorld) -> None:
    world = await new_world(**SMALL_BATCHES)
    first = usages(300)
    await world.publish(first)
    assert await world.catch_up() == 0
    await world.is_exact()

    again = usages(200)
    await world.publish([*first[::3], *again, *again[::2], *first[1::3]])
    assert await world.catch_up() == 0
    await world.is_exact()
    outcomes = await world.outcomes()
    assert outcomes["duplicate"] == len(first[::3]) + len(again[::2]) + len(first[1::3])
    batches = await world.rows("SELECT next_offset - first_offset AS offsets FROM batch")
    assert len(batches) > 10, "many small batches, or this test says little"


async def test_poison_is_kept_as_it_came_and_stops_nothing(new_world: NewWorld) -> None:
    world = await new_world(partitions=1)
    await world.publish(usages(10))
    headers = [("name", b"\xff\x00"), ("name", b"again"), ("none", None)]
    poison = b"\xff\x00 not an event"
    await world.producer.send_and_wait(world.settings.topic, poison, key=b"\x00key", headers=headers)
    conflicting = replace(next(iter(world.published.values())), tokens=999)
    await world.producer.send_and_wait(world.settings.topic, conflicting.value, key=b"subject-0")
    await world.publish(usages(10))
    assert await world.catch_up() == 0

    kept = await world.rows(
        "SELECT record_offset, code, key, value, jsonb_array_length(headers) AS headers FROM quarantine"
        " ORDER BY record_offset"
    )
    assert [(row["record_offset"], row["code"]) for row in kept] == [
        (10, Code.BAD_UTF8),
        (11, Code.CONFLICT),
    ]
    assert (kept[0]["value"], kept[0]["key"], kept[0]["headers"]) == (poison, b"\x00key", 3)
    assert await world.outcomes() == {"accepted": 20, "quarantined": 1, "conflict": 1}
    await world.is_exact()


async def test_misplaced_records_are_republished_and_counted_before_it_is_caught_up(
    new_world: NewWorld,
) -> None:
    world = await new_world(partitions=3)
    events = usages(60)
    for event in events:
        right = murmur2_partition(event.subject.encode(), 3)
        await world.producer.send(
            world.settings.topic, event.value, key=event.subject.encode(), partition=(right + 1) % 3
        )
    await world.producer.flush()
    world.published = {event.id: event for event in events}

    assert await world.catch_up() == 0
    await world.is_exact()
    assert await world.outcomes() == {"accepted": 60, "quarantined": 60}
    published = await world.rows("SELECT published_partition, published_offset FROM repair_outbox")
    assert len(published) == 60
    assert all(row["published_offset"] is not None for row in published)


async def test_repairs_on_a_clock_of_records_keep_the_log_in_order(new_world: NewWorld) -> None:
    world = await new_world(partitions=2, clock="record")
    event = Usage("subject-0", 5)
    right = murmur2_partition(b"subject-0", 2)
    time_ms = int(event.time.timestamp() * 1000)
    await world.producer.send_and_wait(
        world.settings.topic, event.value, partition=1 - right, timestamp_ms=time_ms - 90_000
    )
    later = Usage("subject-0", 7, time=event.time + timedelta(seconds=30))
    await world.producer.send_and_wait(
        world.settings.topic, later.value, key=b"subject-0", partition=right, timestamp_ms=time_ms + 60_000
    )
    world.published = {event.id: event, later.id: later}
    assert await world.catch_up() == 0
    await world.is_exact()
    (row,) = await world.rows(
        "SELECT last_timestamp, frontier FROM ingest_partition WHERE partition = $1", right
    )
    assert row["last_timestamp"] == row["frontier"] == (time_ms + 60_000) * 1000


async def test_an_aborted_transaction_is_a_gap(new_world: NewWorld, transactions: AIOKafkaProducer) -> None:
    world = await new_world(partitions=1)
    await world.publish(usages(5))
    await transactions.begin_transaction()
    for event in usages(4):
        await transactions.send_and_wait(world.settings.topic, event.value, key=event.subject.encode())
    await transactions.abort_transaction()
    assert await world.catch_up() == 0
    await world.is_exact()
    assert await world.outcomes() == {"accepted": 5, "gap": 5}  # four records and the marker


async def test_workers_share_the_partitions_and_hand_them_over(new_world: NewWorld) -> None:
    world = await new_world(partitions=4, **SMALL_BATCHES)
    await world.publish(usages(200))
    async with world.worker(instance="one"):
        await world.counts(50)
        async with world.worker(instance="two") as second:
            await world.publish(usages(200))

            async def both_have_some() -> bool:
                owners = await world.rows("SELECT DISTINCT owner FROM ingest_partition")
                return {row["owner"] for row in owners} == {"one", "two"}

            assert await until(both_have_some, deadline_s=60)
            await world.counts(400)
            await second.stop()
        await world.publish(usages(100))
        await world.counts(500)
    await world.is_exact()


async def test_what_is_fetched_is_flushed_before_its_partition_is_given_away(new_world: NewWorld) -> None:
    world = await new_world(partitions=2, flush_interval_s=30)
    await world.publish(usages(50))
    async with world.worker(instance="one") as first:

        async def has_claimed() -> bool:
            return bool(await world.rows("SELECT FROM ingest_partition WHERE owner = 'one'"))

        assert await until(has_claimed, deadline_s=60)
        # Nothing is due for another half minute: only the hand-over makes it flush.
        async with world.worker(instance="two"):
            await world.counts(50)
        assert not first.task.done()
    flushed_by = await world.rows("SELECT DISTINCT epoch, worker FROM batch")
    assert all(row["worker"].endswith(" one") and row["epoch"] == 1 for row in flushed_by)
    await world.is_exact()


async def test_a_catalog_that_moves_is_used_from_the_next_flush_on(new_world: NewWorld) -> None:
    world = await new_world(partitions=2)
    await world.publish(usages(50))
    async with world.worker():
        await world.counts(50)
        before = await world.rows("SELECT DISTINCT catalog_head FROM batch")
        head = await apply_meters(
            world.database,
            METERS + "  - {name: new, event_type: call, aggregation: count, window: 5m, grace: 1h}\n",
        )
        await world.publish(usages(50))
        await world.counts(100)
        heads = await world.rows("SELECT DISTINCT catalog_head FROM batch ORDER BY catalog_head")
    assert [row["catalog_head"] for row in heads] == [before[0]["catalog_head"], head]
    await world.is_exact()


async def test_idle_partitions_tick_and_others_do_not(new_world: NewWorld) -> None:
    world = await new_world(partitions=2)
    await world.publish([Usage("subject-0", 1)])
    async with world.worker(tick_interval_s=0.3):

        async def ticked() -> bool:
            rows = await world.rows("SELECT tick FROM ingest_partition")
            return all(row["tick"] >= 2 for row in rows)

        assert await until(ticked, deadline_s=60)
    await world.is_exact()
    ticks = (await world.outcomes())["tick"]
    assert await world.catch_up(tick_interval_s=0.1) == 0
    assert (await world.outcomes())["tick"] == ticks, "a worker that only catches up writes no ticks"


async def test_nothing_ticks_on_a_clock_of_records(new_world: NewWorld) -> None:
    world = await new_world(partitions=1, clock="record")
    event = Usage("subject-0", 1)
    await world.producer.send_and_wait(
        world.settings.topic, event.value, timestamp_ms=int(event.time.timestamp() * 1000)
    )
    async with world.worker(tick_interval_s=0.1):
        await world.counts(1)
        await asyncio.sleep(0.5)  # five tick intervals, in which nothing may happen
    assert await world.outcomes() == {"accepted": 1}


async def test_kafka_is_told_what_is_committed(new_world: NewWorld) -> None:
    world = await new_world(partitions=1)
    await world.publish(usages(30))
    assert await world.catch_up() == 0
    from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415

    admin = AIOKafkaAdminClient(bootstrap_servers=world.settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(world.settings.consumer_group)
        assert [stored.offset for stored in offsets.values()] == [30]
    finally:
        await admin.close()


async def test_a_misplaced_record_may_be_as_large_as_any(new_world: NewWorld) -> None:
    world = await new_world(partitions=2)
    wrong = 1 - murmur2_partition(b"subject-0", 2)
    largest = Usage("subject-0", 5, pad=MAX_VALUE_BYTES - 400)
    largest_header = random.Random(1).randbytes(MAX_BESIDE_VALUE_BYTES - 50)
    # The broker compares what is compressed with its limit, a client each record as it is.
    compressible = Usage("subject-0", 7)
    async with AIOKafkaProducer(
        bootstrap_servers=world.settings.kafka_bootstrap_servers,
        compression_type="lz4",
        max_request_size=2**24,
    ) as producer:
        for event, header in ((largest, largest_header), (compressible, bytes(1_100_000))):
            await producer.send_and_wait(
                world.settings.topic, event.value, key=b"odd key", partition=wrong, headers=[("h", header)]
            )
    await world.publish(usages(10))
    world.published[largest.id] = largest
    assert await world.catch_up() == 0
    kept = await world.rows("SELECT code, id FROM quarantine ORDER BY code")
    assert kept == [{"code": "misplaced", "id": largest.id}, {"code": "oversize", "id": compressible.id}]
    await world.is_exact()


async def test_a_header_whose_name_is_no_utf8_refuses_its_record_alone(
    new_world: NewWorld, produce_raw: ProduceRaw
) -> None:
    world = await new_world(partitions=1)
    await world.publish(usages(10))
    odd = Usage("subject-0", 5)
    for _ in range(2):  # the second worker looks at the last record that the first has counted
        good = usages(2, subjects=1)
        latin_1 = (odd.value, [("M\xfcller".encode("latin-1"), b"1")])
        await produce_raw(
            world.settings.topic, 0, [(good[0].value, []), latin_1, (good[1].value, []), latin_1]
        )
        world.published.update({event.id: event for event in good})
        assert await world.catch_up() == 0
    await world.is_exact()
    kept = await world.rows("SELECT code, value, headers FROM quarantine")
    assert len(kept) == 4
    for row in kept:
        assert (row["code"], row["value"]) == ("bad_utf8", odd.value)
        assert read_headers(row["headers"]) == [("M\udcfcller", b"1")]


async def test_a_repair_record_names_its_origin(new_world: NewWorld) -> None:
    world = await new_world(partitions=2)
    event = Usage("subject-0", 5)
    wrong = 1 - murmur2_partition(b"subject-0", 2)
    await world.producer.send_and_wait(
        world.settings.topic, event.value, key=b"odd key", partition=wrong, headers=[("h", b"1")]
    )
    assert await world.catch_up() == 0
    from aiokafka import AIOKafkaConsumer, TopicPartition  # noqa: PLC0415

    async with AIOKafkaConsumer(bootstrap_servers=world.settings.kafka_bootstrap_servers) as consumer:
        log = TopicPartition(world.settings.topic, 1 - wrong)
        consumer.assign([log])
        consumer.seek(log, 0)
        record = await consumer.getone()
    assert (record.value, record.key) == (event.value, b"odd key")
    assert dict(record.headers) == {
        "h": b"1",
        REPAIR_HEADER: b"partition=%d;offset=0;code=misplaced" % wrong,
    }
