"""Records without aiokafka's copy are the same records."""

from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from aggregator.batch import LogRecord
from aggregator.identity import record_hash
from metering.worker.plain_records import take_plain_records

FIELDS = ("offset", "timestamp", "timestamp_type", "key", "value")
SENT: Sequence[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = (
    (b"customer", b'{"tokens":1}', [("content-type", b"application/json"), ("ce_id", b"1")]),
    (None, b"{}", []),
    (b"tombstone", None, [("empty", None), ("twice", b"1"), ("twice", b"2")]),
    (b"", b"", [("näme", b"\x00\xff")]),
)


def unpacked() -> list[LogRecord]:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=100_000,
    )
    for offset, (key, value, headers) in enumerate(SENT):
        builder.append(offset, 1_700_000_000_000 + offset, key, value, headers)
    log = TopicPartition("usage", 3)
    batches = MemoryRecords(bytes(builder.build()))
    return [
        *PartitionRecords(
            tp=log,
            records=batches,
            aborted_transactions=[],
            fetch_offset=0,
            key_deserializer=None,
            value_deserializer=None,
            check_crcs=True,
            isolation_level=READ_COMMITTED,
        )
    ]


def test_they_have_all_that_is_read_of_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = unpacked()
    monkeypatch.setattr(PartitionRecords, "_consumer_record", PartitionRecords._consumer_record)
    take_plain_records()
    plain = unpacked()
    assert len(plain) == len(copied) == len(SENT)
    assert type(plain[0]) is not type(copied[0])
    for one, other in zip(plain, copied, strict=True):
        for field in FIELDS:
            assert getattr(one, field) == getattr(other, field)
        assert list(one.headers) == list(other.headers)
        assert record_hash(one) == record_hash(other)
