"""What has been fetched and not yet committed: it decides when a batch is due and when fetching must wait."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from aggregator.batch import LogRecord
from aggregator.reading import Reading, concat
from metering.settings import Settings


class Stretch(NamedTuple):
    """What was fetched of a partition at once, decoded while it was still in the processor's cache."""

    reading: Reading
    generation: int  # of the partition's fetches
    size_bytes: int
    fetch_began_ns: int
    fetch_ended_ns: int

    @property
    def partition(self) -> int:
        """Whose log it is of."""
        return self.reading.partition

    @property
    def records(self) -> Sequence[LogRecord]:
        """The records in it."""
        return self.reading.records


def joined(stretches: Sequence[Stretch]) -> Stretch:
    """Adjacent stretches of one partition as one."""
    if len(stretches) == 1:
        return stretches[0]
    return Stretch(
        concat([stretch.reading for stretch in stretches]),
        stretches[0].generation,
        sum(stretch.size_bytes for stretch in stretches),
        stretches[0].fetch_began_ns,
        stretches[-1].fetch_ended_ns,
    )


class Backlog:
    """Stretches that wait for their batch, and a count of everything that is held until it is committed."""

    def __init__(self, settings: Settings, flush_interval_s: float, rest_interval_s: float) -> None:
        self._settings = settings
        self._flush_interval_s = flush_interval_s  # how old a batch becomes while more is coming,
        self._rest_interval_s = rest_interval_s  # and when all that is in the log has been taken
        self._is_at_rest = False
        self._waiting: dict[int, list[Stretch]] = {}
        self._waiting_records = 0
        self._waiting_bytes = 0
        self._oldest_at: float | None = None  # monotonic
        self._closed = False
        self._arrived = asyncio.Event()
        self._freed = asyncio.Event()
        self.held_records = 0
        self.held_bytes = 0

    @property
    def room_records(self) -> int:
        """How many more records may be fetched now."""
        if self.held_bytes >= self._settings.buffer_bytes:
            return 0
        by_count = self._settings.buffer_records - self.held_records
        if not self.held_records:
            return by_count
        mean_bytes = 1 + self.held_bytes // self.held_records
        by_size = (self._settings.buffer_bytes - self.held_bytes) // mean_bytes
        return max(0, min(by_count, by_size))

    async def room(self) -> int:
        """Wait until records may be fetched; how many."""
        while not self.room_records:
            self._freed.clear()
            await self._freed.wait()
        return self.room_records

    def add(self, stretch: Stretch) -> None:
        """Keep what was fetched."""
        self._waiting.setdefault(stretch.partition, []).append(stretch)
        self._waiting_records += len(stretch.records)
        self._waiting_bytes += stretch.size_bytes
        self.held_records += len(stretch.records)
        self.held_bytes += stretch.size_bytes
        if self._oldest_at is None:
            self._oldest_at = time.monotonic()
        if self._due_in_s() == 0:
            self._arrived.set()

    def rest(self, *, is_at_rest: bool) -> None:
        """Whether all that is in the log has been taken."""
        if is_at_rest and not self._is_at_rest:
            self._arrived.set()  # who waits, waits for less from now on
        self._is_at_rest = is_at_rest

    async def due(self) -> bool:
        """Wait until a batch is full or old enough; False when nothing is left and nothing will come."""
        while (wait_s := self._due_in_s()) != 0:
            if self._closed:
                return False
            self._arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s if wait_s is None else wait_s):
                    await self._arrived.wait()
        return True

    def take(self) -> list[Stretch]:
        """One batch's worth, one stretch a partition; it stays held until released."""
        taken: dict[int, list[Stretch]] = {}
        records = size_bytes = 0
        queues = list(self._waiting.items())
        while queues and records < self._settings.flush_records and size_bytes < self._settings.flush_bytes:
            for partition, queue in queues:
                stretch = queue.pop(0)
                taken.setdefault(partition, []).append(stretch)
                records += len(stretch.records)
                size_bytes += stretch.size_bytes
            queues = [(partition, queue) for partition, queue in queues if queue]
        self._waiting = {partition: queue for partition, queue in self._waiting.items() if queue}
        self._waiting_records -= records
        self._waiting_bytes -= size_bytes
        self._oldest_at = time.monotonic() if self._waiting else None
        return [joined(stretches) for stretches in taken.values()]

    def put_back(self, stretch: Stretch) -> None:
        """Keep for later what was taken and is held still; it comes before what has arrived since."""
        self._waiting.setdefault(stretch.partition, []).insert(0, stretch)
        self._waiting_records += len(stretch.records)
        self._waiting_bytes += stretch.size_bytes
        if self._oldest_at is None:
            self._oldest_at = time.monotonic()

    def release(self, stretches: Iterable[Stretch]) -> None:
        """Forget what was taken: it is committed, or will be fetched again."""
        for stretch in stretches:
            self.held_records -= len(stretch.records)
            self.held_bytes -= stretch.size_bytes
        self._freed.set()

    def drop(self, partition: int) -> None:
        """Forget what waits of a partition."""
        dropped = self._waiting.pop(partition, [])
        self._waiting_records -= sum(len(stretch.records) for stretch in dropped)
        self._waiting_bytes -= sum(stretch.size_bytes for stretch in dropped)
        self.release(dropped)

    def close(self) -> None:
        """Nothing more will come: what waits is due now."""
        self._closed = True
        self._arrived.set()

    @property
    def _interval_s(self) -> float:
        return self._rest_interval_s if self._is_at_rest else self._flush_interval_s

    def _due_in_s(self) -> float | None:
        """Seconds until a batch is due; None while nothing waits."""
        if self._oldest_at is None or not self._waiting:
            return None
        full = (
            self._waiting_records >= self._settings.flush_records
            or self._waiting_bytes >= self._settings.flush_bytes
        )
        if full or self._closed:
            return 0
        return max(0.0, self._oldest_at + self._interval_s - time.monotonic())
