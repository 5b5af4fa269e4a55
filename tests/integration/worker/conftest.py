"""What the worker's tests share: settings for a topic of their own, and producers that misbehave."""

import struct
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c
from integration.worker.fixtures import NewWorld, ProduceUndecodable, SettingsFactory
from integration.worker.world import World, apply_meters, superuser
from structlog.typing import EventDict
from support.topics import TopicFactory

from aggregator.store import migrate
from aggregator.store import topic as stored_topic
from metering.settings import Settings
from schemas.topic import TopicContract

APPEND_TIME: Mapping[str, str] = {"message.timestamp.type": "LogAppendTime"}


@pytest.fixture
def settings_for(kafka_bootstrap: str) -> SettingsFactory:
    """`settings_for(topic, flush_records=10)`: short intervals, so that no test waits for long."""

    def make(topic: str, **changes: Any) -> Settings:
        given: dict[str, Any] = {
            "kafka_bootstrap_servers": kafka_bootstrap,
            "topic": topic,
            "consumer_group": f"group-{topic}",
            "flush_interval_s": 0.1,
            "drain_deadline_s": 10,
            **changes,
        }
        return Settings(**given)

    return make


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    """What is logged, as it is logged."""
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest_asyncio.fixture
async def new_world(
    settings_for: SettingsFactory, topic: TopicFactory, database: str, producer: AIOKafkaProducer
) -> AsyncIterator[NewWorld]:
    """`await new_world(partitions=3, clock="broker")`: a topic and a schema that counts it."""
    connection = await superuser(database)
    await migrate.up(connection)

    async def make(*, partitions: int = 3, clock: str = "broker", **settings: Any) -> World:
        configs = {} if clock == "record" else APPEND_TIME
        name = await topic(partitions=partitions, configs={**configs, "retention.ms": "-1"})
        contract = TopicContract(name=name, partitions=partitions, clock=clock, retention_ms=-1)
        await stored_topic.apply(connection, contract, dict.fromkeys(range(partitions), 0))
        await apply_meters(connection)
        given = settings_for(
            name, **{"postgres_dsn": database, "postgres_role": "metering_worker", **settings}
        )
        return World(given, connection, producer)

    yield make
    connection.terminate()


@pytest_asyncio.fixture
async def producer(kafka_bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, enable_idempotence=True) as running:
        yield running


@pytest_asyncio.fixture
async def transactions(kafka_bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer whose records count only when it says so."""
    transactional_id = f"test-{time.time_ns()}"
    async with AIOKafkaProducer(
        bootstrap_servers=kafka_bootstrap, transactional_id=transactional_id
    ) as running:
        yield running


@pytest.fixture
def produce_undecodable(kafka_bootstrap: str) -> ProduceUndecodable:
    """Appends a batch of three records; the second one's header has a name that is not UTF-8.

    The broker takes it, for it does not look into records; aiokafka cannot decode it.
    """

    async def produce(topic: str, partition: int) -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
            batch = producer.create_batch()
        for headers in ([], [("name", b"value")], []):
            batch.append(key=None, value=b"{}", timestamp=time.time_ns() // 1_000_000, headers=headers)
        await _append(kafka_bootstrap, topic, partition, _resealed(batch, b"name", b"\xff\xfe\xff\xfe"))

    return produce


def _resealed(batch: Any, old: bytes, new: bytes) -> bytes:
    """The batch with some of its bytes replaced and its checksum made right."""
    batch.close()
    sealed = bytearray(batch._builder.build().replace(old, new))
    struct.pack_into(">I", sealed, 17, calc_crc32c(bytes(sealed[21:])))
    return bytes(sealed)


async def _append(bootstrap_servers: str, topic: str, partition: int, batch: bytes) -> None:
    client = AIOKafkaClient(bootstrap_servers=bootstrap_servers)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        answer = await client.send(leader, ProduceRequest(None, -1, 10_000, [(topic, [(partition, batch)])]))
        ((_, ((_, error_code, *_),)),) = answer.topics
        assert error_code == 0
    finally:
        await client.close()
