"""Looks into the topic beside the consumer group: where logs begin and end, and single records of theirs."""

import asyncio
from collections.abc import Iterable
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    RecordTooLargeError,
    UnsupportedCodecError,
)

from metering.worker.raw_log import RawLog

READ_TIMEOUT_S: Final = 30.0
_POLL_MS: Final = 500
_UNDECODABLE: Final = (CorruptRecordException, RecordTooLargeError, UnsupportedCodecError)


class Bounds(NamedTuple):
    """Offsets that can be read now: `[beginning, end)`; the end stops at the first open transaction."""

    beginning: int
    end: int


class LogReader:
    """Reads a topic without being a member of anything; one call at a time."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        self.raw = RawLog(consumer, topic)
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

    async def record_at(self, partition: int, offset: int) -> ConsumerRecord[bytes, bytes] | None:
        """The record at this offset; None if there is none.

        Raises:
            UnreadableRecordError: it cannot be decoded.
            KafkaError: it cannot be fetched now.
            TimeoutError: the log does not reach that far.
        """
        log = TopicPartition(self._topic, partition)
        async with self._turn, asyncio.timeout(READ_TIMEOUT_S):
            self._consumer.assign([log])
            self._consumer.seek(log, offset)
            records: list[ConsumerRecord[bytes, bytes]] = []
            while not records and await self._consumer.position(log) <= offset:
                try:
                    records = await self._take(log, offset)
                except Exception as error:
                    if may_be_undecodable(error):
                        raise UnreadableRecordError(partition, offset, error) from error
                    raise
        return records[0] if records and records[0].offset == offset else None

    async def _take(self, log: TopicPartition, offset: int) -> "list[ConsumerRecord[bytes, bytes]]":
        try:
            # One at a time: what comes after it in the same batch may not be readable.
            taken = await self._consumer.getmany(log, timeout_ms=_POLL_MS, max_records=1)
        except UnicodeDecodeError:
            piece = await self.raw.read(log.partition, offset)
            self._consumer.seek(log, piece.next_offset)
            return [*piece.records[:1]]
        records: list[ConsumerRecord[bytes, bytes]] = taken.get(log, [])
        return records


class UnreadableRecordError(Exception):
    """A record that is there cannot be decoded."""

    def __init__(self, partition: int, offset: int, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.partition = partition
        self.offset = offset


def may_be_undecodable(error: Exception) -> bool:
    """Whether a record in the log may be what a fetch raised; codecs raise errors of their own making."""
    return isinstance(error, _UNDECODABLE) or not isinstance(error, (KafkaError, TimeoutError, OSError))
