"""A producer whose transactions are committed or aborted, and which knows in the end which it was."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

STEP_S: Final = 30.0
_AWAY: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - these are their public names
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    }
)
"""What clients say of a broker that is not there, or not yet what it was."""


Headers = list[tuple[str, str | bytes | None]]
Result = TypeVar("Result")


class Record(NamedTuple):
    """What is written."""

    key: bytes
    value: bytes
    headers: Headers


class Transactions:
    """Writes records all or none, however often the broker goes away meanwhile."""

    def __init__(self, options: dict[str, Any], topic: str, partitions: int) -> None:
        self._options = options
        self._logs = [TopicPartition(topic, number) for number in range(partitions)]
        self._topic = topic
        self._producer: Producer | None = None

    def write(self, records: Sequence[Record], *, commit: bool) -> bool:
        """Write these in one transaction; whether they are in the log, which they may be only if `commit`."""
        ends = self._ends()
        try:
            return self._attempt(records, commit=commit)
        except KafkaException:  # a broker that was killed may have forgotten a transaction, or its end
            self._producer = None
            self._ready()  # ends whatever the one before has left open
            return self._holds(records[0].value, ends)

    def _attempt(self, records: Sequence[Record], *, commit: bool) -> bool:
        producer = self._ready()
        producer.begin_transaction()
        for record in records:
            producer.produce(self._topic, record.value, record.key, headers=record.headers)
        if commit:
            try:
                _patiently(lambda: producer.commit_transaction(STEP_S))
            except KafkaException as failure:
                if not failure.args[0].txn_requires_abort():
                    raise
            else:
                return True
        else:
            producer.flush(STEP_S)  # so that there is something to abort
        _patiently(lambda: producer.abort_transaction(STEP_S))
        return False

    def _ready(self) -> Producer:
        if self._producer is None:
            producer = Producer(self._options | {"transactional.id": "soak"})
            _patiently(lambda: producer.init_transactions(STEP_S))
            self._producer = producer
        return self._producer

    def _ends(self) -> list[int]:
        consumer = self._consumer()
        try:
            return [_end(consumer, log) for log in self._logs]
        finally:
            consumer.close()

    def _holds(self, value: bytes, ends: Sequence[int]) -> bool:
        """Whether a committed record has this value, from these ends on."""
        consumer = self._consumer()
        found, left = False, len(self._logs)
        try:
            consumer.assign(
                [
                    TopicPartition(log.topic, log.partition, end)
                    for log, end in zip(self._logs, ends, strict=True)
                ]
            )
            while left:
                message = consumer.poll(STEP_S)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    found |= message.value() == value
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    left -= 1
        finally:
            consumer.close()
        return found

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._options["bootstrap.servers"],
                "group.id": "soak-looks",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "log_level": 0,
            }
        )


def _end(consumer: Consumer, log: TopicPartition) -> int:
    _, end = _patiently(lambda: consumer.get_watermark_offsets(log, STEP_S))
    return end


def _patiently(step: Callable[[], Result]) -> Result:
    """A step that is repeated for as long as the broker is away."""
    while True:
        try:
            return step()
        except KafkaException as failure:
            error: KafkaError = failure.args[0]
            if not error.retriable() and error.code() not in _AWAY:
                raise
