"""Topics for tests: made with their settings, and usable when the call returns."""

import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

from metering.dev.conditions import until


class TopicFactory(Protocol):
    """`await topic(partitions=4, configs={"message.timestamp.type": "LogAppendTime"})` gives a new name."""

    async def __call__(self, *, partitions: int = 1, configs: Mapping[str, str] | None = None) -> str: ...


def unique_name() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


async def create_topic(
    bootstrap_servers: str,
    name: str,
    *,
    partitions: int = 1,
    replicas: int = 1,
    configs: Mapping[str, str] | None = None,
) -> None:
    """Make a topic and wait until each of its partitions has a leader."""
    async with admin_client(bootstrap_servers) as admin:
        wanted = NewTopic(name, partitions, replicas, topic_configs=dict(configs or {}))
        _check((await admin.create_topics([wanted])).topic_errors)

        async def every_partition_is_led() -> bool:
            (topic,) = await admin.describe_topics([name])
            leaders = [partition["leader"] for partition in topic["partitions"]]
            return len(leaders) == partitions and -1 not in leaders

        assert await until(every_partition_is_led, deadline_s=30), f"{name} has no leaders"


async def leader_of(bootstrap_servers: str, topic: str, partition: int) -> int:
    """The id of the broker that leads a partition, as the brokers that answer see it."""
    async with admin_client(bootstrap_servers) as admin:
        (described,) = await admin.describe_topics([topic])
    leaders: dict[int, int] = {each["partition"]: each["leader"] for each in described["partitions"]}
    return leaders[partition]


async def delete_topics(bootstrap_servers: str, names: Iterable[str]) -> None:
    """Remove topics and wait until the broker no longer lists them."""
    gone = set(names)
    async with admin_client(bootstrap_servers) as admin:
        _check((await admin.delete_topics(sorted(gone))).topic_error_codes)

        async def none_is_listed() -> bool:
            return gone.isdisjoint(await admin.list_topics())

        assert await until(none_is_listed, deadline_s=30), f"{sorted(gone)} are still there"


@asynccontextmanager
async def admin_client(bootstrap_servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def _check(answers: Iterable[tuple[Any, ...]]) -> None:
    for name, code, *_ in answers:
        if code != 0:
            raise for_code(code)(name)
