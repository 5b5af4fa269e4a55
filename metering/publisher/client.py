"""The client that product services publish usage events with."""

import asyncio
from asyncio import Future
from collections.abc import Mapping
from functools import partial
from time import time_ns
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError
from aiokafka.structs import RecordMetadata
from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from metering.broker import broker_admin, read_partitions, worded
from metering.errors import StoppedError, UnreachableError
from metering.kafka_options import kafka_options
from metering.publisher.delivery import DeliveryFailed, Receipt
from metering.publisher.encoding import to_json, to_void
from metering.publisher.placement import Placement
from metering.publisher.refusal import EventRefused, checked
from metering.settings import Settings
from metering.telemetry import Instruments, catalogue
from schemas.binding import CONTENT_TYPE, STRUCTURED_MEDIA_TYPE
from schemas.codes import SENTENCES, Code
from schemas.control import tick
from schemas.event import UsageEvent
from schemas.topic import TopicContract

MAX_BATCH_BYTES: Final = 262_144
LINGER_MS: Final = 5
TICK_SOURCE: Final = "metering/publisher"
COUNT_EVERY: Final = 1_000  # one call of an instrument costs as much as publishing an event
MAX_AHEAD_US: Final = 300_000_000

Header = tuple[str, bytes]
_CONTENT_TYPE: Final[Header] = (CONTENT_TYPE, STRUCTURED_MEDIA_TYPE.encode())
_W3C: Final = TraceContextTextMapPropagator()


class Publisher:
    """Publishes usage events to one topic, each exactly as it was judged valid.

    The producer is idempotent and waits for all replicas in sync. `publish` returns once the event is
    buffered, and waits while the buffer is full: nothing is dropped. An event that the brokers do not
    acknowledge is reported by its receipt or, if nobody awaited that, by the next `flush` or the end of the
    `async with`; both wait for `publish_timeout_s` at most.

    Args:
        settings: where the brokers are.
        contract: the topic: its name, partitions, partitioner and clock.
        instruments: where to count; by default nowhere.
    """

    def __init__(
        self, settings: Settings, contract: TopicContract, instruments: Instruments | None = None
    ) -> None:
        self.newest_us: int | None = None
        """The greatest time published so far: of an event, or given for a record."""
        self.acknowledged = 0
        """Events that the brokers have."""
        self._settings = settings
        self._contract = contract
        self._instruments = instruments or Instruments(NoOpMeterProvider().get_meter("metering"))
        self._placement = Placement(contract)
        self._counted = 0
        self._pending: set[Receipt] = set()
        self._failed: list[tuple[Receipt, BaseException]] = []
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            UnreachableError: the brokers do not answer (`kafka_unreachable`, `kafka_refused`) or have no such
                topic (`topic_missing`).
            StoppedError: the topic has another number of partitions than its contract, so events would be
                in the wrong ones (`partition_count_changed`).
        """
        name = self._contract.name
        async with broker_admin(self._settings) as admin:
            partitions = await read_partitions(admin, name)
        if partitions is None:
            raise UnreachableError(
                "topic_missing", f"No topic {name}: create it with `metering topics apply`."
            )
        if partitions != self._contract.partitions:
            raise StoppedError(
                Code.PARTITION_COUNT_CHANGED,
                f"{SENTENCES[Code.PARTITION_COUNT_CHANGED]} ({name} has {partitions}, its contract says "
                f"{self._contract.partitions})",
            )
        self._producer = AIOKafkaProducer(
            **kafka_options(self._settings),
            enable_idempotence=True,
            acks="all",
            compression_type="lz4",
            linger_ms=LINGER_MS,
            max_batch_size=MAX_BATCH_BYTES,
        )
        try:
            await self._producer.start()
        except KafkaError as error:
            await self._producer.stop()
            raise worded(self._settings, error) from error
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Send what is buffered and disconnect.

        Raises:
            DeliveryFailed: events were not acknowledged; if the body raised, a note on its exception says so.
        """
        try:
            await self._stop()
            self._settle()
        except DeliveryFailed as failed:
            if error is None:
                raise
            error.add_note(failed.sentence)

    async def publish(
        self, event: UsageEvent | Mapping[str, object] | bytes, timestamp_us: int | None = None
    ) -> Receipt:
        """Publish one usage event, or a void of one; bytes are taken to be its JSON.

        Args:
            event: what was used. Its id must stay the same on retries.
            timestamp_us: the record's time, only on a topic with `clock: record`; by default the greatest
                event time so far, so that the log's time never goes back.

        Raises:
            EventRefused: the event breaks its contract; nothing was sent.
            UnreachableError: the buffer stayed full because no broker takes events.
        """
        try:
            value = to_json(event)
            usage = checked(value)
            newest_us = self._newest_us(usage.time_us, timestamp_us)
        except EventRefused as refused:
            self._instruments.add(catalogue.PUBLISH_REFUSED, code=refused.code)
            raise
        self.newest_us = newest_us
        partition = self._placement.partition_of(usage.subject)
        record_us = newest_us if timestamp_us is None else timestamp_us
        future = await self._send(value, usage.subject.encode(), partition, record_us)
        receipt = Receipt(future, usage.source, usage.id)
        self._pending.add(receipt)
        future.add_done_callback(partial(self._note, receipt))
        return receipt

    async def void(
        self,
        event: UsageEvent | Mapping[str, object] | bytes,
        id: str | None = None,  # noqa: A002 - CloudEvents' own name
        timestamp_us: int | None = None,
    ) -> Receipt:
        """Withdraw a usage event that was published by mistake; twice is once, as with events.

        Args:
            event: as it was given to `publish`: its data must come to the same bytes.
            id: of the void itself; by default one that is always the same for the same event.
            timestamp_us: as of `publish`.

        Raises:
            EventRefused: the event breaks its contract, or is no usage event; nothing was sent.
            UnreachableError: the buffer stayed full because no broker takes events.
        """
        return await self.publish(to_void(event, id), timestamp_us)

    async def tick(self, time_us: int) -> None:
        """Write a tick to every partition of a topic with `clock: record`: its frontiers reach this time.

        Raises:
            ValueError: the topic's clock is the broker, or the time is before an event's.
        """
        if self._contract.clock != "record":
            raise ValueError("only a topic with `clock: record` takes ticks from its publisher")
        if self.newest_us is not None and time_us < self.newest_us:
            raise ValueError("a tick cannot be older than what was published: the log's time would go back")
        self.newest_us = self._newest_us(time_us, None)
        for partition in range(self._contract.partitions):
            id_ = f"{partition}-{time_us}"
            value = tick(TICK_SOURCE, id_, time_us, f"partition-{partition}")
            future = await self._send(value, None, partition, time_us + 999)  # the record's time is in ms
            receipt = Receipt(future, TICK_SOURCE, id_)
            self._pending.add(receipt)
            future.add_done_callback(partial(self._note_end, receipt))
        await self.flush()

    async def flush(self) -> None:
        """Wait until the brokers have everything published so far.

        Raises:
            DeliveryFailed: they refused some of it, or did not answer in time; in that case the client goes
                on trying.
        """
        try:
            async with asyncio.timeout(self._settings.publish_timeout_s):
                await self._connected.flush()
        except TimeoutError:
            late = KafkaTimeoutError(f"no answer in {self._settings.publish_timeout_s} s")
            raise DeliveryFailed([receipt.failure(late) for receipt in self._pending]) from late
        self._settle()

    @property
    def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("use the publisher in `async with`")
        return self._producer

    def _newest_us(self, time_us: int, timestamp_us: int | None) -> int:
        newest_us = max(time_us, timestamp_us or time_us, self.newest_us or time_us)
        if self._contract.clock == "record":
            if newest_us > time_ns() // 1000 + MAX_AHEAD_US:  # it would become a frontier, and stop it
                raise EventRefused.because(Code.IN_FUTURE, "the time is ahead of this machine's clock")
        elif timestamp_us is not None:
            raise ValueError("the broker gives this topic's records their time")
        return newest_us

    async def _send(
        self, value: bytes, key: bytes | None, partition: int, record_us: int
    ) -> Future[RecordMetadata]:
        timestamp_ms = record_us // 1000 if self._contract.clock == "record" else None
        try:
            future: Future[RecordMetadata] = await self._connected.send(
                self._contract.name, value, key, partition, timestamp_ms, _headers()
            )
        except KafkaError as error:
            raise worded(self._settings, error) from error
        return future

    async def _stop(self) -> None:
        """Disconnect; an idempotent producer never gives up by itself, so its sender is ended first."""
        producer = self._connected
        try:
            async with asyncio.timeout(self._settings.publish_timeout_s):
                await producer.flush()
        except TimeoutError:
            late = KafkaTimeoutError(f"no answer in {self._settings.publish_timeout_s} s")
            for receipt in list(self._pending):
                receipt.give_up(late)
            await asyncio.sleep(0)  # their callbacks run
            await producer.client.close()
            producer._sender.sender_task.cancel()  # noqa: SLF001 - the client has no way to stop without a flush
        await producer.stop()

    def _note(self, receipt: Receipt, done: Future[RecordMetadata]) -> None:
        self._note_end(receipt, done)
        if done.exception() is None:
            self.acknowledged += 1
            if self.acknowledged - self._counted >= COUNT_EVERY:
                self._count()

    def _note_end(self, receipt: Receipt, done: Future[RecordMetadata]) -> None:
        self._pending.discard(receipt)
        error = done.exception()
        if error is not None:
            self._failed.append((receipt, error))

    def _count(self) -> None:
        self._instruments.add(catalogue.PUBLISHED, self.acknowledged - self._counted)
        self._counted = self.acknowledged
        self._instruments.set(catalogue.PUBLISH_PENDING, len(self._pending))

    def _settle(self) -> None:
        self._count()
        failed, self._failed = self._failed, []
        self._instruments.add(catalogue.PUBLISH_FAILED, len(failed))
        untold = [receipt.failure(error) for receipt, error in failed if not receipt.told]
        if untold:
            raise DeliveryFailed(untold)


def _headers() -> list[Header]:
    if not trace.get_current_span().get_span_context().is_valid:
        return [_CONTENT_TYPE]
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return [_CONTENT_TYPE, *((name, value.encode()) for name, value in carrier.items())]
