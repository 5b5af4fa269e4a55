"""A partition that another broker leads goes on only when its log was compared with what is stored."""

from aiokafka import AIOKafkaProducer
from integration.worker.fixtures import SettingsFactory
from integration.worker.world import World, apply_meters, becomes, events, superuser, usages
from structlog.typing import EventDict
from support.topics import create_topic

from aggregator.store import migrate, topic
from metering.dev.kafka.cluster import KafkaCluster
from schemas.topic import TopicContract


async def test_a_new_leader_is_checked_first(
    kafka_cluster: KafkaCluster, settings_for: SettingsFactory, database: str, logged: list[EventDict]
) -> None:
    name, servers = "led.by.three", kafka_cluster.bootstrap_servers
    await create_topic(
        servers,
        name,
        partitions=3,
        replicas=3,
        configs={"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "2"},
    )
    connection = await superuser(database)
    await migrate.up(connection)
    await topic.apply(connection, TopicContract(name=name, partitions=3), dict.fromkeys(range(3), 0))
    await apply_meters(connection)
    settings = settings_for(
        name, kafka_bootstrap_servers=servers, postgres_dsn=database, postgres_role="metering_worker"
    )
    async with AIOKafkaProducer(
        bootstrap_servers=servers, enable_idempotence=True, request_timeout_ms=60_000
    ) as producer:
        world = World(settings, connection, producer)
        async with world.worker():
            await world.publish(usages(60))
            await world.counts(60)
            kafka_cluster.servers[0].kill()
            await world.publish(usages(60))
            await world.counts(120)
            await becomes(lambda: events(logged, "partition_suspended"))
            (moved,) = {event["partition"] for event in events(logged, "partition_suspended")}
            checked = [
                event for event in events(logged, "partitions_checked") if moved in event["partitions"]
            ]
            assert len(checked) >= 2, "at the claim, and when another broker led it"
        await world.is_exact()
    connection.terminate()
