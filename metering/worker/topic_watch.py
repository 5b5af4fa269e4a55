"""Is it still the same log? What brokers say of a topic's identity, and aiokafka does not ask them.

A topic that is deleted and made again has the same name and another topic id (KIP-516); a log that another
broker leads, perhaps without all of its records, has another leader epoch (KIP-101). A broker learns of both
before it serves a record of the new log. So when a partition's leader gives the same id and epoch before a
batch is fetched and after, every record of the batch came from the log that was checked at the claim.
"""

from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Final, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, LeaderNotAvailableError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

LOOK_TIMEOUT_MS: Final = 5_000


class LogView(NamedTuple):
    """A topic as the leaders of some of its partitions know it."""

    topic_id: bytes  # 16 bytes
    partition_count: int
    leader_epochs: Mapping[int, int]  # without partitions whose leader cannot be asked now


class TopicWatch:
    """Asks brokers about one topic, on connections of its own: those of a consumer wait behind long polls."""

    def __init__(self, client: AIOKafkaClient, topic: str) -> None:
        self._client = client
        self._topic = topic

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaError: no broker answers.
        """
        await self._client.bootstrap()
        await self._client.set_topics([self._topic])

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.close()

    async def look(self, partitions: Iterable[int]) -> LogView:
        """Ask every leader of these partitions about its own.

        Raises:
            UnknownTopicOrPartitionError: a broker does not know the topic.
            KafkaError: no leader answers.
        """
        wanted = frozenset(partitions)
        asked: set[int] = set()
        views: list[tuple[int, _Topic]] = []
        to_ask = {self._client.get_random_node()}
        problem: KafkaError | None = None
        while to_ask:
            node = to_ask.pop()
            asked.add(node)
            try:
                topic = await self._ask(node)
            except UnknownTopicOrPartitionError:
                raise
            except KafkaError as error:
                problem = error
                # Any broker names the leaders, so another one may answer for this one.
                known = {broker.nodeId for broker in self._client.cluster.brokers()}
                to_ask = to_ask or (set() if views else known - asked)
                continue
            views.append((node, topic))
            to_ask |= {p.leader for p in topic.partitions if p.partition in wanted and p.leader >= 0} - asked
        if not views:
            raise problem or LeaderNotAvailableError(self._topic)
        return _joined(views, wanted)

    async def _ask(self, node: int) -> "_Topic":
        response = await self._client.send(node, _TopicRequest(self._topic))
        (topic,) = response.topics
        error_code, _, topic_id, _, partitions, *_ = topic
        if error_code:
            raise for_code(error_code)(self._topic)
        return _Topic(topic_id, [_Led(p[1], p[2], p[3]) for p in partitions])


class _Led(NamedTuple):
    partition: int
    leader: int
    leader_epoch: int


class _Topic(NamedTuple):
    topic_id: bytes
    partitions: list[_Led]


def _joined(views: list[tuple[int, _Topic]], wanted: frozenset[int]) -> LogView:
    """Each partition's epoch by its own leader; brokers that disagree about the id have not heard yet."""
    newest = views[-1][1]
    if any(topic.topic_id != newest.topic_id for _, topic in views):
        raise LeaderNotAvailableError("brokers disagree about the topic's id")
    epochs = {
        led.partition: led.leader_epoch
        for node, topic in views
        for led in topic.partitions
        if led.leader == node and led.partition in wanted
    }
    return LogView(newest.topic_id, len(newest.partitions), epochs)


class _Uuid(AbstractType[bytes]):  # type: ignore[misc]
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


_TEXT: Final = CompactString("utf-8")


# Metadata, version 12: https://kafka.apache.org/protocol#The_Messages_Metadata
class _TopicResponseV12(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), ("tags", TaggedFields)
            ),
        ),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _TEXT),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition_index", Int32),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("replica_nodes", CompactArray(Int32)),
                        ("isr_nodes", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("topic_authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _TopicRequestV12(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _TopicResponseV12
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _TEXT), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _TopicRequest(Request[_TopicRequestV12]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[_TopicRequestV12]) -> _TopicRequestV12:
        return request_struct_class([(bytes(16), self._topic, {})], False, False, {})  # noqa: FBT003
