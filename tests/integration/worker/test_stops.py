"""What must stop counting does so loudly, with its code, and without counting anything wrongly before."""

import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete
from integration.worker.fixtures import NewWorld, ProduceUndecodable
from integration.worker.world import Usage, Worker, World, asked, becomes, events, usages
from structlog.typing import EventDict
from support.topics import admin_client, create_topic, delete_topics

from aggregator.health.partition import State
from aggregator.store import interventions
from aggregator.store import stops as stored_stops
from metering.dev.ports import free_ports
from metering.errors import StoppedError, UnreachableError
from metering.observer.look import Looks
from schemas.codes import Code
from schemas.partitioner import murmur2_partition


@contextlib.asynccontextmanager
async def stops(world: World, code: Code, logged: list[EventDict]) -> AsyncIterator[Worker]:
    """A worker that ends by itself with this code, which it has logged too."""
    worker = Worker(world.settings)
    yield worker
    with pytest.raises(StoppedError) as stopped:
        await worker.ended()
    assert stopped.value.code == code
    assert events(logged, "stopped")[-1]["code"] == code


async def refuses(world: World, code: Code) -> None:
    """A worker that is to catch up ends at once with this code."""
    with pytest.raises(StoppedError) as stopped:
        await world.catch_up()
    assert stopped.value.code == code


async def publish_to(world: World, partition: int, count: int, **changes: object) -> list[Usage]:
    """Publish events of subjects that belong to one partition."""
    partitions = await world.database.fetchval("SELECT partitions FROM usage_topic")
    subjects = [
        s for s in (f"s{n}" for n in range(1000)) if murmur2_partition(s.encode(), partitions) == partition
    ]
    made = [Usage(subjects[number % 5], number, **changes) for number in range(count)]  # type: ignore[arg-type]
    await world.publish(made)
    return made


async def test_another_number_of_partitions(new_world: NewWorld, logged: list[EventDict]) -> None:
    world = await new_world(partitions=2)
    await world.publish(usages(20))
    async with (
        stops(world, Code.PARTITION_COUNT_CHANGED, logged),
        admin_client(world.settings.kafka_bootstrap_servers) as admin,
    ):
        await world.counts(20)
        await admin.create_partitions({world.settings.topic: NewPartitions(4)})
        await world.producer.send_and_wait(world.settings.topic, usages(1)[0].value, partition=0)
    assert await world.outcomes() == {"accepted": 20}
    assert await seen_by_all(world) == {0: Code.PARTITION_COUNT_CHANGED, 1: Code.PARTITION_COUNT_CHANGED}

    await world.database.execute("UPDATE ingest_partition SET epoch = epoch + 1")
    assert await seen_by_all(world) == {}
    await refuses(world, Code.PARTITION_COUNT_CHANGED)
    assert await seen_by_all(world) == {0: Code.PARTITION_COUNT_CHANGED, 1: Code.PARTITION_COUNT_CHANGED}


async def test_timestamps_that_producers_set(new_world: NewWorld, logged: list[EventDict]) -> None:
    world = await new_world(partitions=2)
    await world.publish(usages(20))
    async with (
        stops(world, Code.CREATE_TIME_TOPIC, logged),
        admin_client(world.settings.kafka_bootstrap_servers) as admin,
    ):
        await world.counts(20)
        name = ConfigResource(ConfigResourceType.TOPIC, world.settings.topic)
        name.configs = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
        await admin.alter_configs([name])
        await world.publish(usages(20))
    assert await world.outcomes() == {"accepted": 20}


async def test_a_clock_that_jumped_stops_its_partition_until_a_person_caps_it(
    new_world: NewWorld, logged: list[EventDict]
) -> None:
    port = free_ports(1)[0]
    world = await new_world(partitions=2, clock="record", admin_port=port)
    await publish_to(world, 0, 5)
    subject = next(iter(world.published.values())).subject
    jumped = Usage(subject, 100)
    ahead_ms = (time.time_ns() // 1_000_000) + 3_600_000
    await world.producer.send_and_wait(
        world.settings.topic, jumped.value, key=subject.encode(), timestamp_ms=ahead_ms
    )
    after = Usage(subject, 1000)
    await world.publish([after])
    async with world.worker() as worker:
        await becomes(lambda: events(logged, "partition_stopped"))
        (stopped,) = events(logged, "partition_stopped")
        assert (stopped["code"], stopped["partition"], stopped["offset"]) == (Code.CLOCK_JUMP, 0, 5)
        await publish_to(world, 1, 30)
        await world.counts(35)  # the other partition goes on, and so does what lies before the jump
        assert not worker.task.done()
        status, said = await asked(port, "/readyz")
        assert (status, set(said["reasons"])) == (503, {"partition 0"})
    world.settings = world.with_settings(admin_port=None)
    await refuses(world, Code.CLOCK_JUMP)
    del world.published[after.id]
    await world.is_exact()

    now_us = time.time_ns() // 1000
    await interventions.cap_clock(world.database, 0, 5, now_us, reason="test", who="tests")
    world.published |= {jumped.id: jumped, after.id: after}
    assert await world.catch_up() == 0
    await world.is_exact()


async def test_usage_deleted_before_it_was_counted(new_world: NewWorld, logged: list[EventDict]) -> None:
    world = await new_world(partitions=2)
    await publish_to(world, 0, 20)
    await publish_to(world, 1, 20)
    await delete_before(world, 0, 12)
    await refuses(world, Code.OFFSET_OUT_OF_RANGE)
    (stopped,) = events(logged, "partition_stopped")
    assert (stopped["partition"], stopped["offset"]) == (0, 0)

    await interventions.skip(world.database, 0, 0, 12, reason="test", who="tests")
    assert await world.catch_up() == 0
    assert await world.outcomes() == {"accepted": 28, "lost": 12}


async def test_usage_deleted_under_a_worker_that_lags(new_world: NewWorld, logged: list[EventDict]) -> None:
    world = await new_world(partitions=1, buffer_records=10, flush_records=10, max_poll_records=10)
    # More than the client fetches ahead, so that it has to ask for what is gone.
    await world.publish([Usage("subject-0", n, pad=100_000) for n in range(60)])
    async with stops(world, Code.OFFSET_OUT_OF_RANGE, logged), world.database.transaction():
        await world.database.execute("LOCK TABLE series IN ACCESS EXCLUSIVE MODE")
        await becomes(lambda: events(logged, "partitions_claimed"))
        await delete_before(world, 0, 59)
    assert (await world.outcomes())["accepted"] < 60


@pytest.mark.parametrize("records_now", [5, 40], ids=["shorter", "longer"])
async def test_a_topic_made_again_while_no_worker_ran(new_world: NewWorld, records_now: int) -> None:
    world = await new_world(partitions=1)
    await world.publish(usages(20))
    assert await world.catch_up() == 0
    before = dict(world.published)
    await make_again(world, 1)
    await world.publish(usages(records_now))
    await refuses(world, Code.LOG_REPLACED)
    world.published = before
    await world.is_exact()


async def test_a_topic_made_again_under_a_worker(new_world: NewWorld, logged: list[EventDict]) -> None:
    world = await new_world(partitions=2)
    await world.publish(usages(20))
    async with stops(world, Code.LOG_REPLACED, logged):
        await world.counts(20)
        before = dict(world.published)
        await make_again(world, 2)
        await world.publish(usages(200))  # soon there is a record wherever the worker wants to go on
    world.published = before
    await world.is_exact()


async def test_a_ledger_that_does_not_end_where_counting_goes_on(new_world: NewWorld) -> None:
    world = await new_world(partitions=2)
    await world.publish(usages(20))
    assert await world.catch_up() == 0
    await world.database.execute("DELETE FROM batch WHERE partition = 1")
    await refuses(world, Code.CORRUPT_LEDGER)


async def test_stored_counters_that_contradict_a_batch_stop_their_partition_alone(
    new_world: NewWorld, logged: list[EventDict]
) -> None:
    world = await new_world(partitions=2)
    await publish_to(world, 0, 10)
    await publish_to(world, 1, 10)
    async with world.worker():
        await world.counts(20)
        await world.database.execute(
            """
            ALTER TABLE ingest_partition DROP CONSTRAINT every_offset_has_one_outcome;
            UPDATE ingest_partition SET accepted = accepted + 1 WHERE partition = 1;
            ALTER TABLE ingest_partition ADD CONSTRAINT every_offset_has_one_outcome CHECK (
                next_offset - first_offset = accepted + duplicate + conflict + quarantined + tick + gap + lost
            ) NOT VALID;
            """
        )
        await publish_to(world, 1, 10)
        await publish_to(world, 0, 10)
        await becomes(lambda: events(logged, "partition_stopped"))
        (stopped,) = events(logged, "partition_stopped")
        assert (stopped["code"], stopped["partition"], stopped["offset"]) == (Code.CORRUPT_LEDGER, 1, 10)
        await publish_to(world, 0, 10)
        await world.counts(41)  # 30 of partition 0, 10 of partition 1 and the one that is not there


async def test_a_record_that_cannot_be_decoded_stops_its_partition_until_a_person_skips_it(
    new_world: NewWorld, produce_undecodable: ProduceUndecodable, logged: list[EventDict]
) -> None:
    world = await new_world(partitions=2)
    await publish_to(world, 0, 10)
    await produce_undecodable(world.settings.topic, 0)  # offsets 10, 11 (the bad one) and 12
    await publish_to(world, 0, 10)
    async with world.worker():
        await publish_to(world, 1, 20)
        await becomes(lambda: events(logged, "partition_stopped"))
        (stopped,) = events(logged, "partition_stopped")
        assert (stopped["code"], stopped["partition"], stopped["offset"]) == (Code.UNDECODABLE_RECORD, 0, 11)
        await world.counts(31)
    assert await world.outcomes() == {"accepted": 30, "quarantined": 1}
    await refuses(world, Code.UNDECODABLE_RECORD)

    assert "readable again from offset 13" in stopped["seen"]
    await interventions.skip(world.database, 0, 11, 13, reason="test", who="tests")
    assert await world.catch_up() == 0
    assert await world.outcomes() == {"accepted": 40, "quarantined": 1, "lost": 2}


async def test_who_waits_for_a_partition_that_another_worker_has_stopped_ends_with_its_code(
    new_world: NewWorld, produce_undecodable: ProduceUndecodable, logged: list[EventDict]
) -> None:
    world = await new_world(partitions=4)
    for partition in range(4):
        await publish_to(world, partition, 5)
    await produce_undecodable(world.settings.topic, 1)
    # The group deals partitions out in the order of names: `a` gets 0 and 2, `b` gets 1 and 3.
    async with world.worker(instance="b") as worker:
        await becomes(lambda: events(logged, "partition_stopped"))
        with pytest.raises(StoppedError) as stopped:
            await world.catch_up(instance="a")
        assert stopped.value.code == Code.UNDECODABLE_RECORD
        assert "Partition 1, offset 6" in stopped.value.sentence
        assert [sorted(one["partitions"]) for one in events(logged, "partitions_claimed")[-2:]] in (
            [[0, 2], [1, 3]],
            [[1, 3], [0, 2]],
        )
        assert not worker.task.done()
        # What another owner had found before is not believed: a log may have been mended since.
        await world.database.execute("UPDATE ingest_partition SET epoch = epoch + 1 WHERE partition = 1")
        assert await stored_stops.standing(world.database) == []


async def test_a_process_without_a_partition_that_can_go_on_ends(
    new_world: NewWorld, produce_undecodable: ProduceUndecodable, logged: list[EventDict]
) -> None:
    world = await new_world(partitions=2)
    await publish_to(world, 0, 10)
    await publish_to(world, 1, 10)
    async with stops(world, Code.UNDECODABLE_RECORD, logged):
        await produce_undecodable(world.settings.topic, 0)
        await becomes(lambda: events(logged, "partition_stopped"))
        await produce_undecodable(world.settings.topic, 1)
    assert [event["partition"] for event in events(logged, "partition_stopped")] == [0, 1]
    assert events(logged, "drained"), "what lay before is counted"
    assert await world.outcomes() == {"accepted": 20, "quarantined": 2}


async def test_a_schema_that_counts_another_topic(new_world: NewWorld) -> None:
    world = await new_world(partitions=2)
    right = world.settings
    world.settings = world.with_settings(topic="another")
    await refuses(world, Code.TOPIC_MISMATCH)
    assert await seen_by_all(world) == {0: Code.TOPIC_MISMATCH, 1: Code.TOPIC_MISMATCH}
    wrong, world.settings = world.settings, right
    async with world.worker(instance="right"):
        await world.publish(usages(20))
        await world.counts(20)
        assert await seen_by_all(world) == {}, "a worker has found the topic in order"
        world.settings = wrong
        await refuses(world, Code.TOPIC_MISMATCH)
        assert await seen_by_all(world) == {}, "another counts: it is the settings of one process alone"


async def test_a_login_that_is_refused_from_now_on_ends_the_worker_with_a_code(
    new_world: NewWorld, logged: list[EventDict]
) -> None:
    world = await new_world(partitions=1)
    await world.database.execute("CREATE ROLE for_a_while SUPERUSER LOGIN PASSWORD 'right'")
    try:
        server = world.settings.postgres_dsn.get_secret_value().rpartition("@")[2]
        worker = Worker(world.with_settings(postgres_dsn=f"postgresql://for_a_while:right@{server}"))
        await world.publish(usages(20))
        await world.counts(20)
        await world.database.execute("ALTER ROLE for_a_while PASSWORD 'other'")
        await world.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'for_a_while'"
        )
        await world.publish(usages(20))
        with pytest.raises(UnreachableError, match="28P01") as refused:
            await worker.ended()
        assert refused.value.code == events(logged, "stopped")[-1]["code"] == "postgres_refused"
    finally:
        await world.database.execute("DROP ROLE for_a_while")


async def seen_by_all(world: World) -> dict[int, Code]:
    """The partitions that status, console, doctor and the observer's gauges say are stopped, and why."""
    look = await Looks(world.settings).look()
    assert look.accounts is not None
    codes = {stop.partition: Code(stop.code) for stop in look.accounts.stops}
    assert {one.status.partition for one in look.standings if one.state is State.STOPPED} == codes.keys()
    return codes


async def make_again(world: World, partitions: int) -> None:
    servers, name = world.settings.kafka_bootstrap_servers, world.settings.topic
    await delete_topics(servers, [name])
    await create_topic(
        servers,
        name,
        partitions=partitions,
        configs={"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"},
    )


async def delete_before(world: World, partition: int, offset: int) -> None:
    async with admin_client(world.settings.kafka_bootstrap_servers) as admin:
        log = TopicPartition(world.settings.topic, partition)
        await admin.delete_records({log: RecordsToDelete(before_offset=offset)})
