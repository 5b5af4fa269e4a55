"""Who an event is: CloudEvents' (source, id) as 96 keyed bits, beside it 24 bits of what it says.

A customer may choose ids freely, so the identity is a keyed hash (BLAKE2b, RFC 7693) of a length-prefixed
encoding: without the key nobody can make two of their own ids collide. The digest only tells a copy from a
conflict and needs no key.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple, TypeVar
from zlib import crc32

import numpy as np

from aggregator.batch import LogRecord
from aggregator.memory import I64, U64
from schemas.wire import Event

VOIDS: Final = 1 << 31
"""The domain of voids, whose identities are derived from their events'; no meter version is so high."""

_MOST_REMEMBERED: Final = 65_536
_2_TO_8: Final = np.uint64(1 << 8)
_2_TO_32: Final = np.uint64(1 << 32)
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: spreads the time over all bits


V = TypeVar("V")


class Identities(NamedTuple):
    """Who some events are."""

    words: list[bytes]  # 12 bytes per event for its (source, id)
    sources: list[str]  # those that there are, each once


class Identifier:
    """Hashes events with a schema's secret key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        # What is hashed first repeats from event to event; remembering it makes hashing twice as quick.
        self._begun = _Remembered(lambda source: self._begin(source, 0))
        self._type_seeds = _Remembered(_type_seeds)

    def identities(self, events: Sequence[Event], domains: Mapping[int, int]) -> Identities:
        """Hash each event's (source, id).

        Args:
            events: in any order.
            domains: rows that stand for something else than their event, so that they have another identity:
                the meter version that an event is repaired for alone (the event itself was accepted when that
                meter refused it), with `VOIDS` added if the row withdraws that.
        """
        begun = _Met(self._begun)
        words = []
        for event in events:
            hashing = begun[event.source].copy()
            hashing.update(event.id.encode())
            words.append(hashing.digest())
        for row, domain in domains.items():
            hashing = self._begin(events[row].source, domain)
            hashing.update(events[row].id.encode())
            words[row] = hashing.digest()
        return Identities(words, list(begun))

    def digests(self, events: Sequence[Event]) -> list[int]:
        """32 bits per event of its type, subject and data's bytes; `columns` adds the time and keeps 24."""
        seeds = self._type_seeds
        return [crc32(event.data, seeds[event.type][event.subject]) for event in events]

    def _begin(self, source: str, domain: int) -> blake2b:
        """The hash up to where the id follows."""
        encoded = source.encode()
        prefix = self._key + domain.to_bytes(4, "big") + len(encoded).to_bytes(4, "big") + encoded
        return blake2b(prefix, digest_size=12)


class _Remembered(dict[str, V]):
    """A function's values by its argument, forgotten all at once when there are too many."""

    def __init__(self, function: Callable[[str], V]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, argument: str) -> V:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        value = self[argument] = self._function(argument)
        return value


class _Met(dict[str, V]):
    """What is remembered, as far as it was asked for: its keys say what there was, at no cost for each."""

    def __init__(self, remembered: _Remembered[V]) -> None:
        super().__init__()
        self._remembered = remembered

    def __missing__(self, argument: str) -> V:
        value = self[argument] = self._remembered[argument]
        return value


def _type_seeds(event_type: str) -> _Remembered[int]:
    encoded = event_type.encode()
    seed = crc32(len(encoded).to_bytes(4, "big") + encoded)
    return _Remembered(lambda subject: crc32(subject.encode(), seed))


def columns(identities: Identities, digests: list[int], times_us: I64, hours: I64) -> tuple[U64, U64]:
    """The `high` and `low` columns of entries (see `aggregator.memory`), one row per event."""
    words: U64 = np.frombuffer(b"".join(identities.words), dtype=">u4").reshape(-1, 3).astype(np.uint64)
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
