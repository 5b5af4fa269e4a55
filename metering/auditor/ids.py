"""Whether the ids of counted events are remembered: derived from records once more, and looked for in chunks.

A live record that is no refusal was accepted, or is a copy of one that was: either way an entry of just this
identity, content and hour is stored in its partition, until its day is dropped. Where it is not, a copy would
be counted. What an entry consists of is said here a second time, after `aggregator.memory` and `identity`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from zlib import crc32

from aggregator.health.finding import Finding, Kind
from aggregator.store import ids as store
from aggregator.store.connection import Connection
from metering.auditor.check import Check
from metering.explain.recount import Record
from schemas.instant import HOUR_US
from schemas.wire import Event, Refusal, decode

MOST_RECORDS: Final = 2_000
"""Of a stretch so many are looked at, one after the other."""

_MIX: Final = 0x9E3779B97F4A7C15  # 2**64 / golden ratio
_SENTENCE: Final = "The id of a counted event is not remembered: a copy of it would be counted again."


class Remembered(NamedTuple):
    """An entry that must be stored."""

    hour: int  # of the event, since the epoch
    entry: bytes


def entry_of(key: bytes, event: Event) -> bytes:
    """16 bytes: 96 bits of who it is, by the schema's secret key, 24 of what it says, 8 of its hour."""
    source = event.source.encode()
    identity = blake2b(
        key + bytes(4) + len(source).to_bytes(4, "big") + source + event.id.encode(), digest_size=12
    )
    event_type = event.type.encode()
    said = crc32(len(event_type).to_bytes(4, "big") + event_type)
    said = crc32(event.data, crc32(event.subject.encode(), said))
    said ^= (event.time_us * _MIX) % 2**64 >> 32
    return identity.digest() + (said % 2**24).to_bytes(3, "big") + bytes([event.time_us // HOUR_US % 256])


class Ids:
    """Those of some records of a partition, taken as they are read.

    Args:
        partition: whose log.
        first_offset: records from here on are looked at, `MOST_RECORDS` offsets of them.
        key: secret of the schema.
    """

    def __init__(self, partition: int, first_offset: int, key: bytes) -> None:
        self._partition = partition
        self._offsets = range(first_offset, first_offset + MOST_RECORDS)
        self._key = key
        self._expected: dict[int, Remembered] = {}

    def take(self, record: Record) -> None:
        """The next record of the log."""
        if record.offset not in self._offsets:
            return
        event = decode(record.value, record.headers)
        if isinstance(event, Refusal) or event.control is not None or event.repair is not None:
            return
        hour = event.time_us // HOUR_US
        self._expected[record.offset] = Remembered(hour, entry_of(self._key, event))

    async def compare(self, connection: Connection) -> list[Check]:
        """Look for each; nothing is said of one whose day was dropped, or that would take too long."""
        refused = await store.refused_offsets(
            connection, self._partition, self._offsets.start, self._offsets.stop
        )
        expected = {offset: one for offset, one in self._expected.items() if offset not in refused}
        is_stored = await _are_stored(connection, self._partition, set(expected.values()))
        return [
            Check(_finding(self._partition, offset, one), is_equal=is_stored[one])
            for offset, one in expected.items()
            if one in is_stored
        ]


async def still_missing(connection: Connection, findings: Iterable[Finding]) -> list[Finding]:
    """The log does not change: what had to be stored still has to be."""
    by_partition: defaultdict[int, list[tuple[Remembered, Finding]]] = defaultdict(list)
    for finding in findings:
        one = Remembered(finding.expected["hour"], bytes.fromhex(finding.expected["entry"]))
        by_partition[finding.place["partition"]].append((one, finding))
    missing: list[Finding] = []
    for partition, expected in by_partition.items():
        is_stored = await _are_stored(connection, partition, {one for one, _ in expected})
        missing += [finding for one, finding in expected if not is_stored.get(one, False)]
    return missing


async def _are_stored(
    connection: Connection, partition: int, wanted: Collection[Remembered]
) -> Mapping[Remembered, bool]:
    by_hour: defaultdict[int, set[bytes]] = defaultdict(set)
    for hour, entry in wanted:
        by_hour[hour].add(entry)
    told: dict[Remembered, bool] = {}
    left_bytes = store.MOST_BYTES
    for hour, entries in sorted(by_hour.items()):
        seen = await store.look_for(connection, partition, hour, entries, left_bytes)
        left_bytes -= seen.size_bytes
        told |= {Remembered(hour, entry): True for entry in seen.found}
        if seen.is_all and not await store.is_dropped(connection, partition, hour):
            told |= {Remembered(hour, entry): False for entry in entries - seen.found}
    return told


def _finding(partition: int, offset: int, one: Remembered) -> Finding:
    place: dict[str, Any] = {"partition": partition, "offset": offset}
    return Finding(Kind.IDS, _SENTENCE, place, {"hour": one.hour, "entry": one.entry.hex()}, None)
