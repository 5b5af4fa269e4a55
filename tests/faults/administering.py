"""What somebody with the rights may do to a topic, wisely or not."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

_TIMEOUT_S: Final = 30


class Administrator:
    """Acts on one topic."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers})
        self._topic = topic

    async def delete_records(self, before: Mapping[int, int]) -> None:
        """Delete each partition's records before an offset, as retention would."""
        places = [TopicPartition(self._topic, partition, offset) for partition, offset in before.items()]
        await _done(self._admin.delete_records(places))

    async def set_partitions(self, count: int) -> None:
        """Give the topic more partitions."""
        await _done(self._admin.create_partitions([NewPartitions(self._topic, count)]))

    async def delete_topic(self) -> None:
        """Delete the topic, with everything in it."""
        await _done(self._admin.delete_topics([self._topic]))

    async def set_config(self, name: str, value: str) -> None:
        """Set one of the topic's configs."""
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, self._topic, incremental_configs=[entry])
        await _done(self._admin.incremental_alter_configs([resource]))


async def _done(answers: Mapping[Any, Future[Any]]) -> None:
    for answer in answers.values():
        await asyncio.to_thread(answer.result, _TIMEOUT_S)
