"""Pushes the feed to a Kafka topic of one partition, each entry once and in order, as CloudEvents.

Kafka is only ever waited for a moment: what takes longer goes on beside the rater, which rates meanwhile and
speaks to the database often enough to keep its turn.

A batch is one transaction of the producer, so a crash leaves all of it or nothing; and a new producer of the
same transactional id fences the one before it, so nobody writes beside it. Where the topic ends, its own last
record tells; only if retention has taken that away, what the database remembers of it.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Final

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, TopicAlreadyExistsError
from aiokafka.structs import TopicPartition

from aggregator.store import feed
from aggregator.store.connection import Connection
from aggregator.store.feed import Entry
from metering.broker import broker_admin, count_brokers, create_topic, read_partitions
from metering.errors import StoppedError, UnreachableError
from metering.kafka_options import kafka_options
from metering.settings import Settings
from metering.telemetry import Instruments, catalogue

log = structlog.get_logger(__name__)

ENTRIES: Final = 500
"""Pushed in one transaction."""

MOMENT_S: Final = 1.0
"""Longest that the brokers hold up a step of the rater; less than any session may be silent."""

ATTEMPT_S: Final = 10.0
"""So long a single run waits for them, step by step, and a request to them may take."""

PAUSE_S: Final = 10.0
"""After a failure they are left alone for this long."""

REPLICAS: Final = 3
TYPES: Final = {"rated_total": "metering.rated_total", "threshold": "metering.threshold_crossed"}
POSITION: Final = "feedposition"
"""The CloudEvents extension attribute with the position in the feed."""


class FeedPush:
    """One process's way from the feed to the topic."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._log = TopicPartition(topic, 0)
        self._producer: AIOKafkaProducer | None = None
        self._attempt: _Attempt | None = None
        self._position = 0
        self._again_s = 0.0

    async def push(self, connection: Connection, instruments: Instruments) -> bool:
        """Push what the topic lacks, a bounded part of it; whether more of it can be done at once.

        Raises:
            StoppedError: the topic has several partitions, so it keeps no order.
        """
        if time.monotonic() < self._again_s:
            return False
        try:
            while attempt := self._attempt or await self._begin(connection):
                if not await attempt.is_done():
                    return attempt.is_young()
                self._attempt = None
                self._position = attempt.task.result()
                if attempt.entries:
                    await feed.mark_pushed(connection, self._topic, self._position)
                    instruments.add(catalogue.FEED_PUSHED, attempt.entries)
                    log.info("feed_pushed", entries=attempt.entries, position=self._position)
                    return attempt.entries == ENTRIES
        except (KafkaError, UnreachableError, TimeoutError, OSError) as error:
            log.warning("feed_waiting", error=repr(error))
            self._again_s = time.monotonic() + PAUSE_S
            await self.close()
        return False

    async def close(self) -> None:
        """Let the producer go; one that does not answer is abandoned, and fenced by the next."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.task.cancel()
            await asyncio.wait((attempt.task,), timeout=MOMENT_S)
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                async with asyncio.timeout(MOMENT_S):
                    await producer.stop()
            except (KafkaError, TimeoutError, OSError) as error:
                log.warning("feed_waiting", error=repr(error))

    async def _begin(self, connection: Connection) -> "_Attempt | None":
        """Begin to find out where the topic ends, or to send what follows; None if nothing does."""
        if self._producer is None:
            remembered = await feed.pushed(connection, self._topic)
            self._attempt = _Attempt(self._open(remembered))
        elif entries := await feed.read(connection, self._position, ENTRIES):
            self._attempt = _Attempt(self._send(self._producer, entries), len(entries))
        return self._attempt

    async def _open(self, remembered: int) -> int:
        """Where the topic ends, with a producer that alone may write to it from now on."""
        await self._make_topic()
        producer = AIOKafkaProducer(
            **kafka_options(self._settings),
            client_id=f"{self._settings.instance}-feed",
            transactional_id=f"metering feed {self._settings.postgres_schema} {self._topic}",
            request_timeout_ms=round(ATTEMPT_S * 1000),
        )
        try:
            await producer.start()  # ends or aborts what another has left open
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer
        return max(remembered, await self._last_position())

    async def _send(self, producer: AIOKafkaProducer, entries: Sequence[Entry]) -> int:
        """Send in one transaction; after a failure nobody aborts it but the next producer."""
        await producer.begin_transaction()
        for sent in [await self._send_one(producer, entry) for entry in entries]:
            await sent
        await producer.commit_transaction()
        return entries[-1].position

    async def _make_topic(self) -> None:
        async with broker_admin(self._settings) as admin:
            partitions = await read_partitions(admin, self._topic)
            if partitions is None:
                try:
                    replicas = min(REPLICAS, await count_brokers(admin))
                    await create_topic(admin, self._topic, 1, replicas, {})
                except TopicAlreadyExistsError:
                    partitions = await read_partitions(admin, self._topic)
        if partitions not in (None, 1):
            raise StoppedError(
                "feed_topic_has_partitions",
                f"The feed's topic {self._topic} has {partitions} partitions, and only one keeps an order: "
                "name another in METERING_FEED_TOPIC; one that does not exist is made.",
            )

    async def _last_position(self) -> int:
        """The feed's position of the topic's last record; 0 if it has none."""
        consumer = AIOKafkaConsumer(
            **kafka_options(self._settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        try:
            await consumer.start()
            consumer.assign([self._log])
            beginning = (await consumer.beginning_offsets([self._log]))[self._log]
            end = (await consumer.end_offsets([self._log]))[self._log]
            step = 16
            first = end
            while first > beginning:
                # Markers of transactions are offsets too, so the last record may lie some way before the end.
                first, until = max(beginning, end - step), first
                position = await self._greatest(consumer, first, until)
                if position:
                    return position
                step *= 4
            return 0
        finally:
            await consumer.stop()

    async def _greatest(self, consumer: AIOKafkaConsumer, first: int, until: int) -> int:
        """The greatest position in `[first, until)`; 0 if no record lies there."""
        consumer.seek(self._log, first)
        greatest = 0
        while await consumer.position(self._log) < until:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    greatest = max(greatest, int(msgspec.json.decode(record.value)[POSITION]))
        return greatest

    async def _send_one(self, producer: AIOKafkaProducer, entry: Entry) -> asyncio.Future[Any]:
        sent: asyncio.Future[Any] = await producer.send(
            self._topic,
            cloud_event(entry, self._settings.postgres_schema),
            key=entry.subscription.encode(),
            partition=0,
            headers=[("content-type", b"application/cloudevents+json; charset=UTF-8")],
        )
        return sent


class _Attempt:
    """Something that is asked of the brokers; its result is the feed's position that the topic then has."""

    def __init__(self, asking: Coroutine[Any, Any, int], entries: int = 0) -> None:
        self.task = asyncio.create_task(asking)
        self.entries = entries
        self._began_s = time.monotonic()

    async def is_done(self) -> bool:
        """Whether it is, after a moment."""
        done, _ = await asyncio.wait((self.task,), timeout=MOMENT_S)
        return bool(done)

    def is_young(self) -> bool:
        """Whether it may still be waited for."""
        return time.monotonic() < self._began_s + ATTEMPT_S


def cloud_event(entry: Entry, schema: str) -> bytes:
    """An entry as a CloudEvent in structured mode; the same bytes whenever it is made, so it has no time."""
    event = {
        "specversion": "1.0",
        "id": entry.id,
        "source": f"urn:metering:{schema}",
        "type": TYPES[entry.kind],
        "subject": entry.subscription,
        "datacontenttype": "application/json",
        POSITION: entry.position,
        "data": msgspec.Raw(entry.payload.encode()),
    }
    return msgspec.json.encode(event)
