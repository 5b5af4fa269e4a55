"""Writes the usage of `billing_workload` to a topic that has the records' own clock; it ends with ticks."""

from collections.abc import Iterable, Sequence
from typing import Final

from billing_workload import Record
from confluent_kafka import Producer
from workload import HEADERS

from schemas.control import tick

FLUSH_S: Final = 120
_ATTEMPT_S: Final = 0.05


def write(bootstrap_servers: str, topic: str, records: Iterable[Record], ticks: Sequence[Record]) -> None:
    """Write records in their order; then to partition 0, 1, … one tick each.

    Raises:
        RuntimeError: not all have arrived.
    """
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "enable.idempotence": True,
            "partitioner": "murmur2",
            "compression.type": "lz4",
            "linger.ms": 20,
            "batch.size": 262_144,
            "queue.buffering.max.messages": 200_000,
            "log_level": 3,
        }
    )
    for record in records:
        _send(producer, topic, record)
    for partition, record in enumerate(ticks):
        _send(producer, topic, record, partition)
    unsent = producer.flush(FLUSH_S)
    if unsent:
        raise RuntimeError(f"{unsent} events are still not written after {FLUSH_S} s")


def ticks(partitions: int, time_us: int) -> list[Record]:
    """A tick of this time for each partition."""
    return [
        Record(
            f"partition-{one}",
            tick("load", f"{one}-{time_us}", time_us, f"partition-{one}").decode(),
            time_us,
        )
        for one in range(partitions)
    ]


def _send(producer: Producer, topic: str, record: Record, partition: int = -1) -> None:
    while True:
        try:
            producer.produce(
                topic,
                record.value,
                record.key,
                partition,
                timestamp=record.time_us // 1000,
                headers=list(HEADERS),
            )
        except BufferError:
            producer.poll(_ATTEMPT_S)
        else:
            return
