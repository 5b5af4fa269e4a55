"""The topic as it really lies in Kafka, read back by a plain consumer, as the oracle reads it."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from aiokafka.partitioner import murmur2
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from oracle.recount import LoggedEvent, SpokenEvent

EXPECTED_CODE: Final = "test-expected-code"
"""The Kafka header by which a broken record tells the oracle how it has to be refused."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_POLL_S: Final = 30.0
_REPAIR_HEADER: Final = "metering-repair"
_TICK_TYPE: Final = "metering.control.tick"
_VOID_TYPE: Final = "metering.control.void"


class LogRecord(NamedTuple):
    offset: int
    timestamp_us: int
    timestamp_type: int  # 0: CreateTime, 1: LogAppendTime
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]

    @property
    def timestamp(self) -> int:
        """Milliseconds, as Kafka has it."""
        return self.timestamp_us // 1000

    def header(self, name: str) -> bytes | None:
        return dict(self.headers).get(name)


class PartitionLog(NamedTuple):
    """A partition's committed records, from the offset on that retention has left."""

    beginning: int
    records: Sequence[LogRecord]


def read_topic(bootstrap_servers: str, topic: str, partitions: int) -> list[PartitionLog]:
    """Every partition from its beginning to its end of this moment."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "read-back",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
    )
    ended: set[int] = set()
    records: dict[int, list[LogRecord]] = {partition: [] for partition in range(partitions)}
    try:
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in records])
        while len(ended) < partitions:
            message: Any = consumer.poll(_POLL_S)
            assert message is not None, f"{topic} cannot be read back"
            error = message.error()
            if error is None:
                records[message.partition()].append(_record(message))
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ended.add(message.partition())
        bounds = [consumer.get_watermark_offsets(TopicPartition(topic, place), _POLL_S) for place in records]
    finally:
        consumer.close()
    return [PartitionLog(bounds[partition][0], records[partition]) for partition in range(partitions)]


def _record(message: Any) -> LogRecord:
    kind, timestamp_ms = message.timestamp()
    return LogRecord(
        message.offset(),
        timestamp_ms * 1000,
        kind - 1,
        message.key(),
        message.value(),
        [(name, value) for name, value in message.headers() or ()],
    )


def murmur2_partition(subject: str, partitions: int) -> int:
    """Where the Java client puts a key, by another implementation than the one under test."""
    return int(murmur2(subject.encode()) & 0x7FFFFFFF) % partitions


def logged_event(record: LogRecord, meters: Mapping[int, str]) -> LoggedEvent:
    """A record as the oracle reads it; `meters` are names by meter version."""
    if record.header(EXPECTED_CODE) is not None:
        return LoggedEvent(record.offset, record.timestamp_us, None)
    attributes, data = _parts(record)
    if attributes["type"] == _TICK_TYPE:
        return LoggedEvent(record.offset, record.timestamp_us, None, is_tick=True)
    is_void = attributes["type"] == _VOID_TYPE
    named, said = (data, data["data"]) if is_void else (attributes, data)
    event = SpokenEvent(
        named["source"],
        named["id"],
        named["type"],
        attributes["subject"],
        _instant_us(named["time"]),
        said,
    )
    repair = record.header(_REPAIR_HEADER)
    repaired = None
    if repair is not None:
        version = dict(part.split("=") for part in repair.decode().split(";")).get("meter_version")
        repaired = None if version is None else meters[int(version)]
    return LoggedEvent(
        record.offset,
        record.timestamp_us,
        event,
        is_repair=repair is not None,
        repaired_meter=repaired,
        is_void=is_void,
    )


def _parts(record: LogRecord) -> tuple[dict[str, str], dict[str, Any]]:
    assert record.value is not None
    if record.header("ce_id") is None:
        event = json.loads(record.value, parse_float=Decimal)
        return event, event["data"]
    headers = {name.removeprefix("ce_"): (value or b"").decode() for name, value in record.headers}
    return headers, json.loads(record.value, parse_float=Decimal)


def _instant_us(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
