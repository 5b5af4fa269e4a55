import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import UnknownTopicOrPartitionError
from integration.worker.fixtures import SettingsFactory
from support.topics import TopicFactory, create_topic, delete_topics

from metering.dev.kafka.cluster import KafkaCluster
from metering.settings import Settings
from metering.worker.clients import watching_client
from metering.worker.topic_watch import TopicWatch


async def test_a_topic_made_again_has_another_id(
    topic: TopicFactory, settings_for: SettingsFactory, kafka_bootstrap: str
) -> None:
    name = await topic(partitions=2)
    watch = TopicWatch(watching_client(settings_for(name)), name)
    await watch.start()
    try:
        first = await watch.look([0, 1])
        assert first == await watch.look([0, 1])
        assert (first.partition_count, first.leader_epochs) == (2, {0: 0, 1: 0})

        await delete_topics(kafka_bootstrap, [name])
        with pytest.raises(UnknownTopicOrPartitionError):
            await watch.look([0, 1])

        await create_topic(kafka_bootstrap, name, partitions=2)
        assert (await watch.look([0, 1])).topic_id != first.topic_id
    finally:
        await watch.close()


async def test_a_new_leader_has_another_epoch(kafka_cluster: KafkaCluster) -> None:
    name = "led"
    await create_topic(kafka_cluster.bootstrap_servers, name, partitions=3, replicas=3)
    settings = Settings(kafka_bootstrap_servers=kafka_cluster.bootstrap_servers, topic=name)
    watch = TopicWatch(watching_client(settings), name)
    await watch.start()
    try:
        before = await watch.look(range(3))
        assert set(before.leader_epochs) == {0, 1, 2}, (
            "each partition is led by another broker, and all are asked"
        )

        kafka_cluster.servers[0].kill()
        async with AIOKafkaProducer(
            bootstrap_servers=kafka_cluster.bootstrap_servers, acks="all", request_timeout_ms=60_000
        ) as producer:
            for partition in range(3):  # acknowledged only when somebody leads the partition again
                await producer.send_and_wait(name, b"{}", partition=partition)
        after = await watch.look(range(3))
        assert after.topic_id == before.topic_id
        moved = [p for p in range(3) if after.leader_epochs[p] != before.leader_epochs[p]]
        assert len(moved) == 1
    finally:
        await watch.close()
