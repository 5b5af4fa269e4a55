"""What the brokers know of a topic, and how to make or change one."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import stamina
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.structs import TopicPartition

from metering.errors import UnreachableError
from metering.kafka_options import kafka_options
from metering.settings import Settings

LEADERS_TIMEOUT_S: Final = 30
TOPIC_MISSING: Final = "topic_missing"
_NO_LEADER: Final = -1
_SET_ON_TOPIC: Final = 1  # config source DYNAMIC_TOPIC_CONFIG of the protocol's DescribeConfigs


class BrokerTopic(NamedTuple):
    """A topic as it is."""

    partitions: int
    replicas: int
    configs: Mapping[str, str]  # in force, the brokers' defaults included
    own_configs: Mapping[str, str]  # set on the topic itself


@asynccontextmanager
async def broker_errors(settings: Settings) -> AsyncIterator[None]:
    """Word what the client raises, as `kafka_unreachable` or `kafka_refused`."""
    try:
        yield
    except KafkaError as error:
        raise worded(settings, error) from error


def worded(settings: Settings, error: KafkaError) -> UnreachableError:
    """Say in a sentence what the client met."""
    if isinstance(error, UnknownTopicOrPartitionError):
        return UnreachableError(
            TOPIC_MISSING,
            f"The brokers of {settings.kafka_bootstrap_servers} have no topic {error}: run `metering topics "
            "apply`, or correct METERING_TOPIC.",
        )
    if not error.retriable and not isinstance(error, KafkaTimeoutError):
        return UnreachableError("kafka_refused", f"The brokers refused ({error}).")
    return UnreachableError(
        "kafka_unreachable",
        f"No broker of {settings.kafka_bootstrap_servers} answers ({error}): set "
        "METERING_KAFKA_BOOTSTRAP_SERVERS, or start a local stack with `metering dev up`.",
    )


@asynccontextmanager
async def broker_admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect an admin client.

    Raises:
        UnreachableError: the brokers do not answer, or refuse (`kafka_unreachable`, `kafka_refused`).
    """
    async with broker_errors(settings):
        admin = AIOKafkaAdminClient(**kafka_options(settings))
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()


async def count_brokers(admin: AIOKafkaAdminClient) -> int:
    """Count the brokers of the cluster."""
    return len((await admin.describe_cluster())["brokers"])


async def read_partitions(admin: AIOKafkaAdminClient, name: str) -> int | None:
    """Count the topic's partitions; None if there is no such topic."""
    # Listing creates nothing; asking for a name would, on brokers that create topics by themselves.
    if name not in await admin.list_topics():
        return None
    return len((await _description(admin, name))["partitions"])


async def read_topic(admin: AIOKafkaAdminClient, name: str) -> BrokerTopic | None:
    """Describe the topic; None if there is no such topic."""
    if name not in await admin.list_topics():
        return None
    partitions = (await _description(admin, name))["partitions"]
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    ((code, reason, _, _, entries),) = answer.resources
    if code:
        raise for_code(code)(reason)
    return BrokerTopic(
        len(partitions),
        min(len(partition["replicas"]) for partition in partitions),
        {entry[0]: entry[1] for entry in entries},
        {entry[0]: entry[1] for entry in entries if entry[3] == _SET_ON_TOPIC},
    )


async def create_topic(
    admin: AIOKafkaAdminClient, name: str, partitions: int, replicas: int, configs: Mapping[str, str]
) -> None:
    """Create the topic and wait until every partition has a leader.

    Raises:
        TopicAlreadyExistsError: another was quicker.
    """
    answer = await admin.create_topics([NewTopic(name, partitions, replicas, topic_configs=dict(configs))])
    _check((code, reason) for _, code, reason in answer.topic_errors)
    async for attempt in stamina.retry_context(
        on=KafkaError, attempts=None, timeout=LEADERS_TIMEOUT_S, wait_initial=0.05, wait_max=0.5
    ):
        with attempt:
            leaders = [partition["leader"] for partition in (await _description(admin, name))["partitions"]]
            if len(leaders) < partitions or _NO_LEADER in leaders:
                raise LeaderNotAvailableError(name)


async def change_configs(
    admin: AIOKafkaAdminClient, name: str, topic: BrokerTopic, changes: Mapping[str, str]
) -> None:
    """Set some of a topic's configs, and keep the others: the request resets what it does not name."""
    configs = {**topic.own_configs, **changes}
    (answer,) = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs)])
    _check((code, reason) for code, reason, *_ in answer.resources)


async def read_beginnings(settings: Settings, name: str, partitions: int) -> dict[int, int]:
    """Give each partition's first offset that the log still has."""
    async with _consumer(settings) as consumer:
        return _by_partition(await consumer.beginning_offsets(_all(name, partitions)))


async def read_ends(settings: Settings, name: str, partitions: int) -> dict[int, int]:
    """Give each partition's offset after its last record."""
    async with _consumer(settings) as consumer:
        return _by_partition(await consumer.end_offsets(_all(name, partitions)))


@asynccontextmanager
async def _consumer(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    async with broker_errors(settings):
        consumer = AIOKafkaConsumer(**kafka_options(settings))
        try:
            await consumer.start()
            yield consumer
        finally:
            await consumer.stop()


def _all(name: str, partitions: int) -> list[TopicPartition]:
    return [TopicPartition(name, partition) for partition in range(partitions)]


def _by_partition(offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    return {topic_partition.partition: offset for topic_partition, offset in offsets.items()}


async def _description(admin: AIOKafkaAdminClient, name: str) -> dict[str, Any]:
    (description,) = await admin.describe_topics([name])
    if description["error_code"]:
        raise for_code(description["error_code"])(name)
    return dict(description)


def _check(answers: Iterable[tuple[int, str | None]]) -> None:
    for code, reason in answers:
        if code:
            raise for_code(code)(reason)
