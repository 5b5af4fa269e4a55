"""Ids remembered for dedupe: immutable sorted runs of 16-byte entries, merged in tiers.

An entry is 96 bits of identity, 24 bits of digest and the event's hour modulo 256, big-endian: the same 16
bytes in memory and in a stored chunk. In memory they are two sorted columns, `high` (the first 64 bits of the
identity) and `low` (the rest), so that a whole batch is looked up with a few binary searches.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

ENTRY_BYTES: Final = 16
HOURS_PER_RUN: Final = 255
"""An hour is kept modulo 256, so a run may not span more."""

IDENTITY_LOW: Final = np.uint64(0xFFFFFFFF_00000000)
"""The bits of `low` that belong to the identity."""

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Run:
    """Entries sorted by `high`; `first_hour` and `last_hour` bound the hours of their events."""

    high: U64
    low: U64
    first_hour: int
    last_hour: int

    def __post_init__(self) -> None:
        if self.last_hour - self.first_hour > HOURS_PER_RUN:
            msg = (
                f"a run spans {self.last_hour - self.first_hour} hours, more than its entries can tell apart"
            )
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.high)

    def hours(self, low: U64) -> I64:
        """Hours since the epoch of entries of this run, from the last byte of `low`."""
        first = np.uint64(self.first_hour & 0xFF)
        return ((low - first) & np.uint64(0xFF)).astype(np.int64) + self.first_hour

    def since(self, hour: int) -> "Run":
        """This run without what was forgotten before `hour`."""
        if self.first_hour >= hour:
            return self
        kept = self.hours(self.low) >= hour
        return Run(self.high[kept], self.low[kept], hour, max(hour, self.last_hour))

    def merged(self, other: "Run") -> "Run":
        """Both runs in one, by placing the shorter one into the longer."""
        long, short = (self, other) if len(self) >= len(other) else (other, self)
        places = np.searchsorted(long.high, short.high) + np.arange(len(short))
        from_long = np.ones(len(long) + len(short), dtype=bool)
        from_long[places] = False
        high = np.empty(len(from_long), dtype=np.uint64)
        low = np.empty(len(from_long), dtype=np.uint64)
        high[places], low[places] = short.high, short.low
        high[from_long], low[from_long] = long.high, long.low
        return Run(high, low, min(self.first_hour, other.first_hour), max(self.last_hour, other.last_hour))

    def find(self, high: U64, low: U64, since_hour: I64, found: U64, is_found: NDArray[np.bool_]) -> None:
        """Write into `found` the entry with each query's identity whose hour is not before `since_hour`."""
        places = np.searchsorted(self.high, high)
        queries = np.flatnonzero(places < len(self.high))
        queries = queries[self.high[places[queries]] == high[queries]]
        # Few queries come this far: the copies. Equal `high` may stand for several entries, so walk on.
        while len(queries):
            entries = self.low[places[queries]]
            same = (entries ^ low[queries]) & IDENTITY_LOW == 0
            same &= self.hours(entries) >= since_hour[queries]
            found[queries[same]] = entries[same]
            is_found[queries[same]] = True
            queries = queries[~same]
            places[queries] += 1
            queries = queries[places[queries] < len(self.high)]
            queries = queries[self.high[places[queries]] == high[queries]]


@dataclass(frozen=True, slots=True)
class Memory:
    """Sorted runs, each at least twice as long as the next: a lookup is a few searches, a merge is rare."""

    runs: tuple[Run, ...] = ()

    def __len__(self) -> int:
        return sum(map(len, self.runs))

    @property
    def size_bytes(self) -> int:
        """Bytes of the entries themselves."""
        return len(self) * ENTRY_BYTES

    def find(self, high: U64, low: U64, since_hour: I64) -> tuple[U64, NDArray[np.bool_]]:
        """The remembered `low` of each queried identity, and whether there is one.

        Args:
            high: sorted, or the search is slow; one row per query.
            low: the identity's other bits; digest and hour are not compared.
            since_hour: the earliest hour still remembered where the query stands in the log.
        """
        found = np.zeros(len(high), dtype=np.uint64)
        is_found = np.zeros(len(high), dtype=bool)
        for run in self.runs:
            run.find(high, low, since_hour, found, is_found)
        return found, is_found

    def with_run(self, run: Run, since_hour: int) -> "Memory":
        """The memory with the entries of one more batch, and without runs older than `since_hour`."""
        runs = [old for old in self.runs if old.last_hour >= since_hour]
        new = run.since(since_hour)
        if len(new):
            runs.append(new)
        while len(runs) > 1 and len(runs[-2]) < 2 * len(runs[-1]):
            last, previous = runs.pop(), runs.pop()
            runs.append(previous.since(since_hour).merged(last.since(since_hour)))
        return Memory(tuple(runs))


def order_of(keys: U64) -> I64:
    """The rows in ascending order of their keys, equal ones in the order in which they stand."""
    order = np.argsort(keys)  # many times quicker than the stable sort, which hashes hardly ever need
    ordered = keys[order]
    if (ordered[1:] == ordered[:-1]).any():
        return np.argsort(keys, kind="stable")
    return order


def run_of(high: U64, low: U64, first_hour: int, last_hour: int) -> Run:
    """A run of entries in any order, of events between two hours (inclusive).

    The sort is one that merges what is sorted already, as stored chunks are: a reload takes a quarter.
    """
    order = np.argsort(high, kind="stable")
    return Run(high[order], low[order], first_hour, last_hour)


def unpacked(entries: bytes | bytearray | memoryview) -> tuple[U64, U64]:
    """The columns of packed entries."""
    table = np.frombuffer(entries, dtype=">u8").reshape(-1, 2)
    return table[:, 0].astype(np.uint64), table[:, 1].astype(np.uint64)


def packed(high: U64, low: U64) -> bytes:
    """The columns as stored: 16 bytes an entry, in the order given."""
    table = np.empty((len(high), 2), dtype=">u8")
    table[:, 0], table[:, 1] = high, low
    return table.tobytes()


def remembered(entries: bytes | bytearray | memoryview, first_hour: int) -> Memory:
    """The memory of stored chunks, none of them of an hour before `first_hour` or 256 hours later."""
    high, low = unpacked(entries)
    if not len(high):
        return Memory()
    run = run_of(high, low, first_hour, first_hour + HOURS_PER_RUN)
    last_hour = int(run.hours(run.low).max())
    return Memory((Run(run.high, run.low, first_hour, last_hour),))


def total_bytes(memories: Iterable[Memory]) -> int:
    """Bytes that several memories keep."""
    return sum(memory.size_bytes for memory in memories)
