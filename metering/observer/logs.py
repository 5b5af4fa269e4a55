"""What the brokers say of the topic's logs, beside everything that counts it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, Self

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, KafkaTimeoutError

from metering.broker import broker_errors
from metering.kafka_options import kafka_options
from metering.observer.list_offsets import EARLIEST, LATEST, MAX_TIMESTAMP, Found, list_offsets
from metering.settings import Settings

ANSWER_S: Final = 5.0
"""Longest wait for the brokers: what is reported every few seconds cannot wait longer."""


class Counted(NamedTuple):
    """How far a partition is counted, as the database says."""

    next_offset: int
    frontier_us: int | None


class LogPosition(NamedTuple):
    """Where a partition's log stands; times are the log's own."""

    start_offset: int
    end_offset: int  # open transactions included
    newest_us: int | None  # greatest timestamp; None: no record
    waiting_since_us: int | None  # of the oldest record not counted; None: all are

    def lag_records(self, counted: Counted) -> int:
        """Offsets in the log that are not counted yet."""
        return max(0, self.end_offset - counted.next_offset)

    def lag_us(self, counted: Counted) -> int:
        """How far the newest record is ahead of what is counted, by the log's timestamps; 0: caught up."""
        since_us = self.waiting_since_us if counted.frontier_us is None else counted.frontier_us
        if not self.lag_records(counted) or self.newest_us is None or since_us is None:
            return 0
        return max(0, self.newest_us - since_us)


@asynccontextmanager
async def brokers(settings: Settings) -> AsyncIterator[AIOKafkaClient]:
    """A bare connection to the brokers, which answer in time or not at all.

    Raises:
        UnreachableError: they do not answer, or refuse (`kafka_unreachable`, `kafka_refused`).
    """
    async with broker_errors(settings):
        client = AIOKafkaClient(
            **kafka_options(settings),
            client_id=f"{settings.instance}-observer",
            request_timeout_ms=round(ANSWER_S * 1000),
        )
        try:
            async with _in_time():
                await client.bootstrap()
            yield client
        finally:
            await client.close()


class TopicLogs:
    """Asks the leaders of one topic, on connections of its own; member of no group."""

    def __init__(self, client: AIOKafkaClient, topic: str) -> None:
        self._client = client
        self._topic = topic

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: Settings, topic: str) -> AsyncIterator[Self]:
        """Connect to the brokers.

        Raises:
            UnreachableError: they do not answer, or refuse (`kafka_unreachable`, `kafka_refused`).
        """
        async with brokers(settings) as client:
            async with _in_time():
                await client.set_topics([topic])
            yield cls(client, topic)

    async def look(self, counted: Mapping[int, Counted]) -> dict[int, LogPosition]:
        """Where the logs of these partitions stand; asked after `counted` was read, so never behind it.

        Raises:
            KafkaError: a leader does not answer, or there is none now.
        """
        async with _in_time():
            try:
                return await self._look(counted)
            except KafkaError:
                self._client.force_metadata_update()  # whoever leads now is asked the next time
                raise

    async def _look(self, counted: Mapping[int, Counted]) -> dict[int, LogPosition]:
        after = {p: 0 if c.frontier_us is None else c.frontier_us // 1000 + 1 for p, c in counted.items()}
        starts, ends, newest, next_records = await asyncio.gather(
            list_offsets(self._client, self._topic, dict.fromkeys(counted, EARLIEST)),
            list_offsets(self._client, self._topic, dict.fromkeys(counted, LATEST)),
            list_offsets(self._client, self._topic, dict.fromkeys(counted, MAX_TIMESTAMP)),
            list_offsets(self._client, self._topic, after),
        )
        return {
            partition: LogPosition(
                start_offset=starts[partition].offset or 0,
                end_offset=ends[partition].offset or 0,
                newest_us=_us(newest[partition].timestamp_ms),
                waiting_since_us=_waiting_since_us(one, ends[partition], next_records[partition]),
            )
            for partition, one in counted.items()
        }


def _waiting_since_us(counted: Counted, end: Found, later: Found) -> int | None:
    """When the oldest record that is not counted was appended, or (by the log's own order) not before.

    `later` is the first record with a greater timestamp than the frontier. If it is not the very next one,
    there may be others of the frontier's own millisecond before it.
    """
    if (end.offset or 0) <= counted.next_offset:
        return None
    is_next = later.offset == counted.next_offset
    return _us(later.timestamp_ms) if is_next or counted.frontier_us is None else counted.frontier_us


def _us(timestamp_ms: int | None) -> int | None:
    return None if timestamp_ms is None else timestamp_ms * 1000


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ANSWER_S):
            yield
    except TimeoutError as error:
        raise KafkaTimeoutError(f"no answer within {ANSWER_S:.0f} s") from error
