"""What the worker's tests share: settings for a topic of their own, and producers that misbehave."""

import struct
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import pytest_asyncio
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c
from integration.worker.fixtures import NewWorld, ProduceRaw, ProduceUndecodable, RawRecord, SettingsFactory
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
    """Appends a batch of three records, the second of which has attributes of more than seven bits.

    The broker takes it, for they are not used; aiokafka reads them as a number of variable length.
    """

    async def produce(topic: str, partition: int) -> None:
        sealed = await _sealed(kafka_bootstrap, [(b"{}", []), (b'"undecodable"', []), (b"{}", [])])
        # Attributes, timestamp, offset, key and length stand before the value, with a byte each.
        sealed[sealed.index(b'"undecodable"') - 5] = 0x80
        await _append(kafka_bootstrap, topic, partition, sealed)

    return produce


@pytest.fixture
def produce_raw(kafka_bootstrap: str) -> ProduceRaw:
    """Appends a batch of records whose headers' names are bytes."""

    async def produce(topic: str, partition: int, records: Sequence[RawRecord]) -> None:
        # Each name is written as text of the same length, and then exchanged.
        names = sorted({name for _, headers in records for name, _ in headers})
        texts = {name: f"{place:X>{len(name)}}" for place, name in enumerate(names)}
        assert all(len(texts[name]) == len(name) for name in names), "a name is too short to be told apart"
        sealed = await _sealed(
            kafka_bootstrap,
            [(value, [(texts[name], text) for name, text in headers]) for value, headers in records],
        )
        for name, text in texts.items():
            sealed = sealed.replace(text.encode(), name)
        await _append(kafka_bootstrap, topic, partition, sealed)

    return produce


async def _sealed(bootstrap_servers: str, records: Iterable[tuple[bytes, Any]]) -> bytearray:
    """A batch as a producer would send it."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        batch = producer.create_batch()
    now_ms = time.time_ns() // 1_000_000
    for value, headers in records:
        batch.append(key=None, value=value, timestamp=now_ms, headers=headers)
    batch.close()
    return bytearray(batch._builder.build())


async def _append(bootstrap_servers: str, topic: str, partition: int, batch: bytearray) -> None:
    """Append a batch that was tampered with, its checksum made right."""
    struct.pack_into(">I", batch, 17, calc_crc32c(bytes(batch[21:])))
    client = AIOKafkaClient(bootstrap_servers=bootstrap_servers)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        answer = await client.send(
            leader, ProduceRequest(None, -1, 10_000, [(topic, [(partition, bytes(batch))])])
        )
        ((_, ((_, error_code, *_),)),) = answer.topics
        assert error_code == 0
    finally:
        await client.close()
