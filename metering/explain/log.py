"""Reads stretches of a topic's log again, beside everything that counts it."""

from collections.abc import AsyncIterator, Iterable
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from metering.errors import StoppedError
from metering.replay.checking import LOG_START_GONE
from metering.settings import Settings
from metering.worker.clients import close_consumer, replaying_consumer
from metering.worker.log_reader import may_be_undecodable
from metering.worker.raw_log import RawLog

_POLL_MS: Final = 500
_MOST_RECORDS: Final = 20_000


class Stretch(NamedTuple):
    """Offsets `[first_offset, next_offset)` of a partition."""

    partition: int
    first_offset: int
    next_offset: int


async def read_log(
    settings: Settings, topic: str, stretches: Iterable[Stretch]
) -> AsyncIterator[tuple[int, list[ConsumerRecord[bytes, bytes]]]]:
    """The records of these stretches, by partition, one stretch after the other.

    Raises:
        StoppedError: retention has deleted some of it (`log_start_gone`).
        KafkaError: the brokers do not let it be read.
    """
    consumer = replaying_consumer(settings)
    await consumer.start()
    try:
        for stretch in stretches:
            async for records in _records(consumer, topic, stretch):
                yield stretch.partition, records
    finally:
        await close_consumer(consumer)


async def _records(
    consumer: AIOKafkaConsumer, topic: str, stretch: Stretch
) -> AsyncIterator[list[ConsumerRecord[bytes, bytes]]]:
    if stretch.first_offset >= stretch.next_offset:
        return
    log = TopicPartition(topic, stretch.partition)
    beginning = (await consumer.beginning_offsets([log]))[log]
    if beginning > stretch.first_offset:
        raise StoppedError(
            LOG_START_GONE,
            f"Partition {stretch.partition} must be read from offset {stretch.first_offset}, but its log "
            f"begins at {beginning}: what retention has deleted cannot be explained any more.",
        )
    consumer.assign([log])
    consumer.seek(log, stretch.first_offset)
    position, raw = stretch.first_offset, RawLog(consumer, topic)
    while position < stretch.next_offset:
        try:
            taken = await consumer.getmany(log, timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
            records, position = taken.get(log, []), await consumer.position(log)
        except Exception as error:
            if not may_be_undecodable(error):
                raise
            piece = await raw.read(stretch.partition, position)
            records, position = list(piece.records), piece.next_offset
            consumer.seek(log, position)
        wanted = [record for record in records if record.offset < stretch.next_offset]
        if wanted:
            yield wanted
