"""Where a topic's logs begin and end, and by their own timestamps: asked of the leaders, without a fetch.

The request is ListOffsets in version 7, which has the greatest timestamp of a log (KIP-734). To fetch the
record before the end instead would say nothing where that is a transaction's marker, would cost a batch for
each partition, and a record that no client can decode would hide how late the pipeline is.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import LeaderNotAvailableError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactString,
    Int8,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)
from aiokafka.structs import TopicPartition

LATEST: Final = -1
EARLIEST: Final = -2
MAX_TIMESTAMP: Final = -3


class Found(NamedTuple):
    """An answer: an offset, and the timestamp of the record there."""

    offset: int | None  # None: there is no such record
    timestamp_ms: int | None


async def list_offsets(client: AIOKafkaClient, topic: str, wanted: Mapping[int, int]) -> dict[int, Found]:
    """Ask each partition's leader.

    Args:
        client: bootstrapped, with the topic's metadata.
        topic: its name.
        wanted: by partition, `LATEST` (open transactions included), `EARLIEST`, `MAX_TIMESTAMP`, or a
            timestamp in milliseconds, for the first record that has it or a greater one.

    Raises:
        UnknownTopicOrPartitionError: there is no such topic.
        KafkaError: a leader does not answer, or there is none now.
    """
    by_leader: defaultdict[int, list[tuple[int, int, int, dict[int, bytes]]]] = defaultdict(list)
    for partition, timestamp in wanted.items():
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        if leader is None:
            raise UnknownTopicOrPartitionError(topic)
        if leader < 0:
            raise LeaderNotAvailableError(topic)
        by_leader[leader].append((partition, -1, timestamp, {}))
    answers = await asyncio.gather(
        *(client.send(leader, _OffsetsRequest(topic, asked)) for leader, asked in by_leader.items())
    )
    found = {}
    for answer in answers:
        ((_, partitions, _),) = answer.topics
        for partition, error_code, timestamp, offset, *_ in partitions:
            if error_code:
                raise for_code(error_code)(f"{topic} {partition}")
            found[partition] = Found(None if offset < 0 else offset, None if timestamp < 0 else timestamp)
    return found


_TEXT: Final = CompactString("utf-8")
_ANYBODY: Final = -1
_READ_UNCOMMITTED: Final = 0


# ListOffsets, version 7: https://kafka.apache.org/protocol#The_Messages_ListOffsets
class _OffsetsResponseV7(Response):  # type: ignore[misc]
    API_KEY = 2
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", _TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition_index", Int32),
                        ("error_code", Int16),
                        ("timestamp", Int64),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _OffsetsRequestV7(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 2
    API_VERSION = 7
    RESPONSE_TYPE = _OffsetsResponseV7
    SCHEMA = Schema(
        ("replica_id", Int32),
        ("isolation_level", Int8),
        (
            "topics",
            CompactArray(
                ("name", _TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition_index", Int32),
                        ("current_leader_epoch", Int32),
                        ("timestamp", Int64),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _OffsetsRequest(Request[_OffsetsRequestV7]):  # type: ignore[misc]
    API_KEY = 2

    def __init__(self, topic: str, partitions: list[tuple[int, int, int, dict[int, bytes]]]) -> None:
        self._topic = topic
        self._partitions = partitions

    def build(self, request_struct_class: type[_OffsetsRequestV7]) -> _OffsetsRequestV7:
        no_tags: dict[int, bytes] = {}
        topics = [(self._topic, self._partitions, no_tags)]
        return request_struct_class(_ANYBODY, _READ_UNCOMMITTED, topics, no_tags)
