"""Looks at stored ids: for single ones, and at some of them at random."""

from collections.abc import Collection
from typing import Final, NamedTuple

import numpy as np

from aggregator.memory import ENTRY_BYTES, unpacked
from aggregator.store.connection import Connection
from aggregator.store.statements import STATEMENTS
from schemas.instant import HOUR_US

MOST_BYTES: Final = 64 * 1024 * 1024
"""Chunks read at most to look for some ids: four million of them, in part of a second."""

_CHUNKS_AT_ONCE: Final = 2
_SLICES: Final = 256
_SLICE_BYTES: Final = 4096


class Seen(NamedTuple):
    """What was looked at, and what was found there."""

    found: set[bytes]
    size_bytes: int
    is_all: bool  # what was not found is not there


class Slice(NamedTuple):
    """Entries of a chunk that lie one behind the other."""

    partition: int
    hour: int  # of the events, since the epoch
    first_offset: int  # names the chunk
    entries: bytes

    def __len__(self) -> int:
        return len(self.entries) // ENTRY_BYTES


async def some_slices(connection: Connection) -> list[Slice]:
    """Parts of some chunks, both chosen at random: a megabyte at most. Any role may ask."""
    rows = await connection.fetch(STATEMENTS["some_slices"], _SLICES, _SLICE_BYTES)
    return [
        Slice(row["partition"], row["event_hour"] // HOUR_US, row["first_offset"], row["entries"])
        for row in rows
    ]


async def look_for(
    connection: Connection, partition: int, hour: int, entries: Collection[bytes], most_bytes: int
) -> Seen:
    """Look for entries of one event hour (since the epoch), in the newest chunks first."""
    wanted = set(entries)
    high = np.sort(unpacked(b"".join(wanted))[0])
    found: set[bytes] = set()
    size_bytes = 0
    async with connection.transaction(readonly=True):
        cursor = connection.cursor(
            STATEMENTS["chunks_of_hour"], partition, hour * HOUR_US, prefetch=_CHUNKS_AT_ONCE
        )
        async for (chunk,) in cursor:
            if len(found) == len(wanted) or size_bytes + len(chunk) > most_bytes:
                return Seen(found, size_bytes, is_all=len(found) == len(wanted))
            size_bytes += len(chunk)
            stored = unpacked(chunk)[0]
            places = np.minimum(np.searchsorted(high, stored), len(high) - 1)
            for row in np.flatnonzero(high[places] == stored).tolist():
                entry = chunk[row * ENTRY_BYTES : (row + 1) * ENTRY_BYTES]
                if entry in wanted:
                    found.add(entry)
    return Seen(found, size_bytes, is_all=True)


async def is_dropped(connection: Connection, partition: int, hour: int) -> bool:
    """Whether the day of an event hour was dropped: nobody has to remember it any more."""
    dropped: bool = await connection.fetchval(STATEMENTS["hour_is_dropped"], partition, hour * HOUR_US)
    return dropped


async def refused_offsets(
    connection: Connection, partition: int, first_offset: int, next_offset: int
) -> frozenset[int]:
    """Records in a stretch of a partition that were refused as a whole."""
    rows = await connection.fetch(STATEMENTS["refused_offsets"], partition, first_offset, next_offset)
    return frozenset(row["record_offset"] for row in rows)
