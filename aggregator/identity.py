"""Who an event is: CloudEvents' (source, id) as 96 keyed bits, beside it 24 bits of what it says.

A customer may choose ids freely, so the identity is a keyed hash (BLAKE2b, RFC 7693) of a length-prefixed
encoding: without the key nobody can make two of their own ids collide. The digest only tells a copy from a
conflict and needs no key.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final
from zlib import crc32

import numpy as np

from aggregator.batch import LogRecord
from aggregator.memory import I64, U64
from schemas.wire import Event

_CACHED: Final = 65_536
_2_TO_8: Final = np.uint64(1 << 8)
_2_TO_32: Final = np.uint64(1 << 32)
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: spreads the time over all bits


class Identifier:
    """Hashes events with a schema's secret key; remembers the encodings that repeat."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        # The encodings repeat from event to event; caching them is what makes hashing cheap.
        self.prefix = lru_cache(_CACHED)(self._prefix)
        self.seed = lru_cache(_CACHED)(self._seed)

    def identities(self, events: Sequence[Event], meter_versions: Mapping[int, int]) -> list[bytes]:
        """12 bytes per event for its (source, id).

        Args:
            events: in any order.
            meter_versions: rows that repair an event for one meter version alone: those are other identities,
                for the event itself was accepted when that meter refused it.
        """
        prefix = self.prefix
        return [
            blake2b(
                prefix(event.source, meter_versions.get(row)) + event.id.encode(), digest_size=12
            ).digest()
            for row, event in enumerate(events)
        ]

    def digests(self, events: Sequence[Event]) -> list[int]:
        """32 bits per event of its type, subject and data's bytes; `columns` adds the time and keeps 24."""
        seed = self.seed
        return [crc32(event.data, seed(event.type, event.subject)) for event in events]

    def _prefix(self, source: str, meter_version_id: int | None) -> bytes:
        encoded = source.encode()
        meter = 0 if meter_version_id is None else meter_version_id
        return self._key + meter.to_bytes(4, "big") + len(encoded).to_bytes(4, "big") + encoded

    @staticmethod
    def _seed(event_type: str, subject: str) -> int:
        encoded = event_type.encode()
        return crc32(len(encoded).to_bytes(4, "big") + encoded + subject.encode())


def columns(identities: list[bytes], digests: list[int], times_us: I64, hours: I64) -> tuple[U64, U64]:
    """The `high` and `low` columns of entries (see `aggregator.memory`), one row per event."""
    words: U64 = np.frombuffer(b"".join(identities), dtype=">u4").reshape(-1, 3).astype(np.uint64)
    mixed: U64 = np.array(digests, dtype=np.uint64) ^ ((times_us.astype(np.uint64) * _MIX) >> np.uint64(32))
    digest = mixed & np.uint64(0xFFFFFF)
    high = words[:, 0] * _2_TO_32 + words[:, 1]
    low = words[:, 2] * _2_TO_32 + digest * _2_TO_8 + (hours & 0xFF).astype(np.uint64)
    return high, low


def record_hash(record: LogRecord) -> bytes:
    """16 bytes of a record as it lies in the log: proof that the log is still the one that was counted."""
    key = b"" if record.key is None else record.key
    value = b"" if record.value is None else record.value
    head = b"%d %d %d %d %d:" % (
        record.offset,
        record.timestamp,
        record.key is None,
        record.value is None,
        len(key),
    )
    return blake2b(head + key + value, digest_size=16).digest()
