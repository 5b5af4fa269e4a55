"""Brokers that tests hurt: what they do to their clients, and that they come back with their records."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition
from support.topics import TopicFactory, create_topic, leader_of

from metering.dev.kafka.cluster import KafkaCluster
from metering.dev.kafka.server import KafkaServer

Harm = Callable[[KafkaServer], Awaitable[None]]

LONG_AGO_MS = 1_699_999_999_000


async def kill(server: KafkaServer) -> None:
    server.kill()


async def stop(server: KafkaServer) -> None:
    await server.stop()


async def publish(bootstrap_servers: str, topic: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all") as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0, timestamp_ms=LONG_AGO_MS)


async def read(bootstrap_servers: str, topic: str, count: int) -> list[bytes | None]:
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest"
    ) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        return [(await consumer.getone()).value for _ in range(count)]


async def test_topic_keeps_the_time_that_its_records_bring(topic: TopicFactory, kafka_bootstrap: str) -> None:
    name = await topic(configs={"message.timestamp.type": "CreateTime", "retention.ms": "-1"})
    await publish(kafka_bootstrap, name, b"old")
    async with AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(name, 0)])
        record = await consumer.getone()
    assert (record.timestamp, record.timestamp_type) == (LONG_AGO_MS, 0)


@pytest.mark.parametrize("harm", [kill, stop])
async def test_comes_back_on_its_port_with_its_records(harm: Harm, own_kafka: KafkaServer) -> None:
    address, pid = own_kafka.address, own_kafka.pid
    await create_topic(address, "kept")
    await publish(address, "kept", b"first")
    await harm(own_kafka)
    assert not await own_kafka.answers()
    await own_kafka.start()
    assert own_kafka.pid not in {None, pid}
    await publish(address, "kept", b"second")
    assert await read(address, "kept", 2) == [b"first", b"second"]


async def test_frozen_it_is_silent_and_thawed_it_goes_on(own_kafka: KafkaServer) -> None:
    await create_topic(own_kafka.address, "kept")
    async with AIOKafkaProducer(bootstrap_servers=own_kafka.address, acks="all") as producer:
        await producer.send_and_wait("kept", b"first")
        own_kafka.freeze()
        sent = asyncio.create_task(producer.send_and_wait("kept", b"second"))
        done, _ = await asyncio.wait([sent], timeout=0.5)
        assert not done
        own_kafka.thaw()
        await sent
    assert await read(own_kafka.address, "kept", 2) == [b"first", b"second"]


async def test_three_brokers_go_on_without_the_leader(kafka_cluster: KafkaCluster) -> None:
    bootstrap_servers = kafka_cluster.bootstrap_servers
    await create_topic(bootstrap_servers, "kept", replicas=3)
    await publish(bootstrap_servers, "kept", b"first")
    leader = kafka_cluster.server(await leader_of(bootstrap_servers, "kept", 0))
    leader.kill()
    await publish(bootstrap_servers, "kept", b"second")
    assert await leader_of(bootstrap_servers, "kept", 0) != leader.node.id
    await leader.start()
    assert await read(bootstrap_servers, "kept", 2) == [b"first", b"second"]
