"""Looks into the topic beside the consumer group: where logs begin and end, and single records of theirs."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

READ_TIMEOUT_S: Final = 30.0
_POLL_MS: Final = 500


class Bounds(NamedTuple):
    """Offsets that can be read now: `[beginning, end)`; the end stops at the first open transaction."""

    beginning: int
    end: int


class LogReader:
    """Reads a topic without being a member of anything; one call at a time."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic
        self._turn = asyncio.Lock()

    async def bounds(self, partitions: Iterable[int]) -> dict[int, Bounds]:
        """Where each log begins and ends.

        Raises:
            KafkaError: no answer in time.
        """
        logs = [TopicPartition(self._topic, partition) for partition in partitions]
        ends = await self._consumer.end_offsets(logs)
        beginnings = await self._consumer.beginning_offsets(logs)
        return {log.partition: Bounds(beginnings[log], ends[log]) for log in logs}

    async def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Where each log ends.

        Raises:
            KafkaError: no answer in time.
        """
        logs = [TopicPartition(self._topic, partition) for partition in partitions]
        ends = await self._consumer.end_offsets(logs)
        return {log.partition: ends[log] for log in logs}

    async def records_at(self, offsets: Mapping[int, int]) -> dict[int, ConsumerRecord[bytes, bytes]]:
        """The records at these offsets, by partition; without those that are not there.

        Raises:
            KafkaError: a record cannot be fetched or decoded.
            TimeoutError: the log does not reach that far.
        """
        found: dict[int, ConsumerRecord[bytes, bytes]] = {}
        waiting = {TopicPartition(self._topic, partition): offset for partition, offset in offsets.items()}
        async with self._turn, asyncio.timeout(READ_TIMEOUT_S):
            self._consumer.assign(list(waiting))
            for log, offset in waiting.items():
                self._consumer.seek(log, offset)
            while waiting:
                records = await self._consumer.getmany(*waiting, timeout_ms=_POLL_MS)
                for log, offset in list(waiting.items()):
                    if await self._consumer.position(log) > offset:
                        del waiting[log]
                        self._consumer.pause(log)
                        first = records.get(log, [None])[0]
                        if first is not None and first.offset == offset:
                            found[log.partition] = first
        return found
