"""The feed's topic holds every entry once and in order, whatever becomes of who pushes it."""

from typing import Any, Final

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from integration.store.conftest import Connect
from opentelemetry.metrics import NoOpMeterProvider
from support.topics import TopicFactory, unique_name

from aggregator.store import feed
from aggregator.store.connection import Connection
from aggregator.store.feed import News
from metering.dev.conditions import until
from metering.dev.kafka.server import KafkaServer
from metering.errors import StoppedError
from metering.rater.push import FeedPush
from metering.settings import Settings
from metering.telemetry import Instruments

INSTRUMENTS: Final = Instruments(NoOpMeterProvider().get_meter("tests"))


async def tell(connection: Connection, *ids: str, kind: feed.Kind = "rated_total") -> None:
    async with connection.transaction():
        await feed.append(
            connection, [News(kind, one, "acme", "acme-pro", f'{{"id":"{one}"}}') for one in ids]
        )


async def push_all(push: FeedPush, connection: Connection) -> None:
    """Push as the rater does, which has other things to do in between."""
    while await push.push(connection, INSTRUMENTS):
        pass


async def pushed(settings: Settings, topic: str) -> list[dict[str, Any]]:
    """Every event that is committed in the topic."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers, isolation_level="read_committed"
    )
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        events: list[dict[str, Any]] = []
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                events += [msgspec.json.decode(record.value) for record in records]
        return events
    finally:
        await consumer.stop()


async def test_each_entry_lies_in_the_topic_once_and_in_order_also_after_crashes(
    kafka_bootstrap: str, migrated: Connection, connected: Connect
) -> None:
    settings, topic = Settings(kafka_bootstrap_servers=kafka_bootstrap), unique_name()
    worker = await connected(role="metering_worker")
    first = FeedPush(settings, topic)
    second = FeedPush(settings, topic)
    try:
        await tell(worker, "a", "b")
        await tell(worker, "c", kind="threshold")
        await push_all(first, worker)
        assert await feed.pushed(worker, topic) == 3
        # As after a crash between the commit to Kafka and to Postgres: the database remembers nothing.
        await migrated.execute("DELETE FROM feed_push")
        await tell(worker, "d")
        await push_all(second, worker)
        # The first one comes back as if it were still alone: it is fenced and adds nothing.
        await tell(worker, "e")
        await push_all(first, worker)
        await push_all(second, worker)
        events = await pushed(settings, topic)
    finally:
        await first.close()
        await second.close()
    assert [(event["feedposition"], event["id"]) for event in events] == list(enumerate("abcde", start=1))
    assert [event["type"] for event in events].count("metering.threshold_crossed") == 1
    assert events[2]["type"] == "metering.threshold_crossed"
    assert [event["data"] for event in events] == [{"id": one} for one in "abcde"]


async def test_a_topic_of_several_partitions_is_refused(
    kafka_bootstrap: str, migrated: Connection, topic: TopicFactory
) -> None:
    push = FeedPush(Settings(kafka_bootstrap_servers=kafka_bootstrap), await topic(partitions=2))
    with pytest.raises(StoppedError, match="only one keeps an order"):
        await push.push(migrated, INSTRUMENTS)


async def test_a_broker_that_does_not_answer_holds_up_nobody(
    own_kafka: KafkaServer, migrated: Connection
) -> None:
    """Frozen between two transactions; the rater goes on, and all is there once when it answers again."""
    settings, topic = Settings(kafka_bootstrap_servers=own_kafka.address), unique_name()
    push = FeedPush(settings, topic)
    try:
        await tell(migrated, "a")
        assert await until(lambda: _is_pushed(push, migrated, topic, 1), deadline_s=60)
        own_kafka.freeze()
        await tell(migrated, "b", "c")
        await push_all(push, migrated)
        assert not await push.push(migrated, INSTRUMENTS)
        own_kafka.thaw()
        assert await until(lambda: _is_pushed(push, migrated, topic, 3), deadline_s=60)
        events = await pushed(settings, topic)
    finally:
        await push.close()
    assert [(event["feedposition"], event["id"]) for event in events] == list(enumerate("abc", start=1))


async def _is_pushed(push: FeedPush, connection: Connection, topic: str, position: int) -> bool:
    """Whether the topic has come so far, after another step."""
    await push.push(connection, INSTRUMENTS)
    return await feed.pushed(connection, topic) == position
