"""Reads what aiokafka refuses to read, though every other client does: header names that are no UTF-8.

Brokers do not look at header names, and neither the Java client nor librdkafka minds. aiokafka 0.14 raises,
and what lies behind such a record in its fetch is lost to it. Here the same bytes are decoded with those that
are no UTF-8 escaped (PEP 383), so that the record can be refused and kept like any other that is malformed.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import LeaderNotAvailableError, for_code
from aiokafka.protocol.fetch import FetchRequest

# The compiled reader cannot be told how to decode a name; this one, in Python, is its twin.
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

from schemas.binding import is_unicode

FETCH_BYTES: Final = 1_048_576
_WAIT_MS: Final = 500
_WITH_REPLICA: Final = 11  # the version of the answer that names a replica to read from
_WITH_HEADERS: Final = 2  # the version of batches whose records have headers
_MAGIC_AT: Final = 16


class Piece(NamedTuple):
    """What was read at once: the committed records of `[offset asked for, next_offset)`."""

    records: Sequence["ConsumerRecord[bytes, bytes]"]
    next_offset: int

    @property
    def has_broken_names(self) -> bool:
        """Whether aiokafka's own reader would have failed on it."""
        return any(not is_unicode(name) for record in self.records for name, _ in record.headers)


class RawLog:
    """Fetches from one topic on a consumer's own connections, and decodes by itself."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        self._client = consumer._client  # noqa: SLF001 - there is no public way to send a request
        self._topic = topic

    async def read(self, partition: int, offset: int) -> Piece:
        """Some batches from this offset on, as a consumer would give them: what was aborted is left out.

        Raises:
            KafkaError: they cannot be fetched now.
            Exception: the first of them cannot be decoded like this either, see `may_be_undecodable`.
        """
        log = TopicPartition(self._topic, partition)
        request = FetchRequest(
            _WAIT_MS, 1, FETCH_BYTES, READ_COMMITTED, [(self._topic, [(partition, offset, FETCH_BYTES)])]
        )
        answer = await self._client.send(await self._leader(log), request)
        ((_, ((_, error_code, _, *rest),)),) = answer.topics
        if error_code:
            raise for_code(error_code)(log)
        aborted = rest[-3] if answer.API_VERSION >= _WITH_REPLICA else rest[-2]
        reading = PartitionRecords(
            log,
            _Batches(rest[-1] or b""),
            aborted,
            offset,
            key_deserializer=None,
            value_deserializer=None,
            check_crcs=True,
            isolation_level=READ_COMMITTED,
        )
        records: list[ConsumerRecord[bytes, bytes]] = []
        try:
            records.extend(reading)  # keeps what came before an error
        except Exception:
            if reading.next_fetch_offset == offset:
                raise
        return Piece(records, reading.next_fetch_offset)

    async def _leader(self, log: TopicPartition) -> int:
        await self._client.add_topic(self._topic)
        leader: int | None = self._client.cluster.leader_for_partition(log)
        if leader is None or leader < 0:
            await self._client.force_metadata_update()
            raise LeaderNotAvailableError(log)
        return leader


class _Batches(_MemoryRecordsPy):  # type: ignore[misc] # aiokafka is untyped
    """The batches of a fetch, those with headers as `_Batch`."""

    def next_batch(self) -> Any:  # noqa: ANN401 - aiokafka is untyped
        following = self._next_slice
        if following is None or following[_MAGIC_AT] < _WITH_HEADERS:
            return super().next_batch()
        self._cache_next()
        return _Batch(following)


class _Batch(_DefaultRecordBatchPy):  # type: ignore[misc] # aiokafka is untyped
    """A batch whose records' header names may be any bytes."""

    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Lenient(self._buffer)


class _Lenient(bytearray):
    """Bytes that decode to text whatever they are."""

    def __getitem__(self, place: Any) -> Any:  # noqa: ANN401 - an int for an int, else a part
        part = super().__getitem__(place)
        return _Lenient(part) if isinstance(part, bytearray) else part

    def decode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> str:
        return super().decode(encoding, errors)
