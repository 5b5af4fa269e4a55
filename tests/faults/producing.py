"""Producers as products have them: librdkafka, placing records as Java does, or by its own habit."""

from collections.abc import Iterable
from typing import Any, Final

from confluent_kafka import Producer
from faults.traffic import Sent

_LIKE_JAVA: Final = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 5,
    "partitioner": "murmur2_random",
    "message.max.bytes": 2_000_000,
    "reconnect.backoff.max.ms": 500,  # a broker that is back is found soon
    "log_level": 0,  # brokers that are away are the point of some tests
}


def produce(bootstrap_servers: str, topic: str, records: Iterable[Sent], **options: Any) -> int:
    """Send records and wait until the brokers have them; how many.

    Args:
        bootstrap_servers: of Kafka.
        topic: where to.
        records: to send, in this order.
        options: of librdkafka that differ, with `_` for `.`.
    """
    return send(producer(bootstrap_servers, **options), topic, records)


def producer(bootstrap_servers: str, **options: Any) -> Producer:
    """A producer that places records as Java does, unless its options say otherwise."""
    changes = {name.replace("_", "."): value for name, value in options.items()}
    return Producer({"bootstrap.servers": bootstrap_servers, **_LIKE_JAVA, **changes})


def send(through: Producer, topic: str, records: Iterable[Sent]) -> int:
    """Send through this producer, and wait for every acknowledgement."""
    failures: list[Any] = []
    count = 0

    def note(error: Any, _message: Any) -> None:
        if error is not None:
            failures.append(error)

    for count, record in enumerate(records, start=1):  # noqa: B007 - its last value is the answer
        placed = {} if record.partition is None else {"partition": record.partition}
        stamped = {} if record.timestamp_us is None else {"timestamp": record.timestamp_us // 1000}
        through.produce(
            topic,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            on_delivery=note,
            **placed,
            **stamped,
        )
        through.poll(0)
    assert through.flush(60) == 0, "the brokers do not acknowledge"
    assert failures == []
    return count
