"""The servers that fault tests hurt come back with what they had."""

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition
from support.topics import TopicFactory

from metering.dev.postgres.server import PostgresServer

PUBLISHED_US = 1_699_999_999_000_000  # long before the broker's clock


async def publish(bootstrap_servers: str, topic: str, values: list[bytes]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all") as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0, timestamp_ms=PUBLISHED_US // 1000)


async def read(bootstrap_servers: str, topic: str, count: int) -> list[bytes]:
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest"
    ) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        return [(await consumer.getone()).value for _ in range(count)]


async def test_database_is_new_and_empty(database: str) -> None:
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await connection.execute("CREATE TABLE kept (id int)")
    await connection.close()


async def test_postgres_is_as_durable_as_in_production(own_postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(own_postgres.dsn())
    settings = [await connection.fetchval(f"SHOW {name}") for name in ("fsync", "synchronous_commit")]
    await connection.close()
    assert settings == ["on", "on"]


async def test_topic_takes_the_time_that_its_records_bring(topic: TopicFactory, kafka_bootstrap: str) -> None:
    name = await topic(configs={"message.timestamp.type": "CreateTime", "retention.ms": "-1"})
    await publish(kafka_bootstrap, name, [b"old"])
    async with AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(name, 0)])
        record = await consumer.getone()
    assert (record.timestamp * 1000, record.timestamp_type) == (PUBLISHED_US, 0)


async def test_postgres_keeps_what_was_committed(own_postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(own_postgres.dsn())
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    connection.terminate()
    assert own_postgres.pid is not None
