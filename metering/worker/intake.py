"""Takes records from the client and accounts for every offset that it passes.

Each call of `getmany` is followed, in the same step of the loop, by reading every partition's position: what
lies between the last position and this one is either a record or a gap (a transaction's marker, an aborted
transaction, compaction). aiokafka 0.14 moves a position without giving the record in two more cases, and in
both it raises: a record that is too large, and records of other partitions that it had taken already when one
could not be decoded. So after any error every partition is sent back to the offset that was accounted for.
A record that only aiokafka cannot decode is read by `RawLog`; any other stops its partition.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from aggregator.reading import read
from metering.settings import Settings
from metering.worker.backlog import Backlog, Stretch
from metering.worker.log_reader import may_be_undecodable
from metering.worker.owned import Owned
from metering.worker.raw_log import RawLog
from metering.worker.stops import Stop
from schemas.codes import Code

log = structlog.get_logger(__name__)

POLL_MS: Final = 100
ATTEMPTS: Final = 3
"""Fetches of a record that cannot be decoded: the wire may have been at fault."""

STEPPED_RECORDS: Final = 100_000
"""Records taken one by one, looking for one that cannot be decoded, before it counts as gone,"""

QUIET_POLLS: Final = 50
"""or polls in a row that gave nothing."""

RETRY_S: Final = 0.5
"""Pause after a raw read that no broker answered."""

Records = Mapping[TopicPartition, Sequence[Any]]


class Intake:
    """Feeds the backlog from one consumer, for the partitions of one assignment."""

    def __init__(
        self,
        settings: Settings,
        consumer: AIOKafkaConsumer,
        raw: RawLog,
        owned: Mapping[int, Owned],
        backlog: Backlog,
        fetchable: asyncio.Event,
        on_out_of_range: Callable[[Owned], None],
        on_stopped: Callable[[Stop], None],
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._raw = raw
        self._owned = owned
        self._backlog = backlog
        self._fetchable = fetchable  # set when a partition may be fetched again
        self._on_out_of_range = on_out_of_range
        self._on_stopped = on_stopped
        self._suspects: deque[Owned] = deque()

    async def run(self) -> None:
        """Fetch until cancelled.

        Raises:
            KafkaError: the group or the cluster refuses this member.
        """
        while True:
            room = min(await self._backlog.room(), self._settings.max_poll_records)
            fetchable = [owned for owned in self._owned.values() if owned.fetchable]
            if not fetchable:
                self._fetchable.clear()
                await self._fetchable.wait()
                continue
            try:
                while self._suspects:
                    await self._examine(self._suspects.popleft())
                await self._fetch(fetchable, room)
            except OffsetOutOfRangeError as error:
                self._rewind()
                (where,) = error.args[0]
                self._on_out_of_range(self._owned[where.partition])
            except Exception as error:
                if not may_be_undecodable(error):
                    raise
                self._rewind()
                self._suspects.extend(owned for owned in fetchable if owned not in self._suspects)
            await asyncio.sleep(0)  # getmany does not yield while it has records

    async def _fetch(self, fetchable: Sequence[Owned], max_records: int) -> int:
        """Take what there is and put it into the backlog; how many records that is."""
        began_ns = time.time_ns()
        logs = [owned.log for owned in fetchable]
        records: Records = await self._consumer.getmany(*logs, timeout_ms=POLL_MS, max_records=max_records)
        ended_ns = time.time_ns()
        for owned in fetchable:
            # No suspension: a position that is known is returned at once, as of the same step as the records.
            position = await self._consumer.position(owned.log)
            highwater = self._consumer.highwater(owned.log)
            if highwater is not None:
                owned.end_offset = highwater
            if owned.fetchable and position != owned.position:
                self._account(owned, position, records.get(owned.log, ()), began_ns, ended_ns)
        self._backlog.rest(is_at_rest=all(owned.taken for owned in fetchable))
        return sum(map(len, records.values()))

    def _account(
        self, owned: Owned, position: int, records: Sequence[Any], began_ns: int, ended_ns: int
    ) -> None:
        if owned.until is not None and position > owned.until:
            position, records = owned.until, [record for record in records if record.offset < owned.until]
        reading = read(owned.partition, owned.position, position, records)
        self._backlog.add(Stretch(reading, owned.generation, reading.size_bytes, began_ns, ended_ns))
        owned.position = position
        if records:
            owned.log_end_us = max(records[-1].timestamp * 1000, owned.log_end_us or 0)
            owned.active_at_s = time.monotonic()

    async def _examine(self, owned: Owned) -> None:
        """Fetch one partition alone; if that fails, past aiokafka's own decoding."""
        try:
            if owned.fetchable:
                await self._fetch([owned], self._settings.max_poll_records)
        except Exception as error:
            if not may_be_undecodable(error):
                raise
            self._rewind()
            await self._take_raw(owned)

    async def _take_raw(self, owned: Owned) -> None:
        """Take what aiokafka cannot read for its headers' names; if that is not it, find the record."""
        goes_on = True
        while goes_on and owned.fetchable:
            await self._backlog.room()
            began_ns = time.time_ns()
            generation, first_offset = owned.generation, owned.position
            try:
                piece = await self._raw.read(owned.partition, first_offset)
            except Exception as error:
                if may_be_undecodable(error):
                    await self._step(owned)
                    return
                if not isinstance(error, (KafkaError, OSError)):
                    raise
                log.warning("raw_read_failed", partition=owned.partition, error=repr(error))
                self._suspects.append(owned)
                await asyncio.sleep(RETRY_S)
                return
            if owned.generation != generation or not owned.fetchable:
                return  # it is fetched again, if at all
            goes_on = piece.has_broken_names
            if piece.next_offset > first_offset:
                self._account(owned, piece.next_offset, piece.records, began_ns, time.time_ns())
                self._consumer.seek(owned.log, owned.position)
            await asyncio.sleep(0)

    async def _step(self, owned: Owned) -> None:
        """Fetch record by record, up to the one that cannot be read."""
        failures = stepped = quiet = 0
        while owned.fetchable and stepped < STEPPED_RECORDS and quiet < QUIET_POLLS:
            await self._backlog.room()
            try:
                taken = await self._fetch([owned], 1)
            except Exception as error:
                if not may_be_undecodable(error):
                    raise
                self._rewind()
                failures += 1
                if failures == ATTEMPTS:
                    again = await self._readable_again(owned)
                    seen = f"{type(error).__name__}: {error}; readable again from offset {again}"
                    self._on_stopped(Stop(Code.UNDECODABLE_RECORD, owned.partition, owned.position, seen))
            else:
                failures = 0 if taken else failures
                quiet = 0 if taken else quiet + 1
                stepped += taken
            await asyncio.sleep(0)

    async def _readable_again(self, owned: Owned) -> int:
        """Where the log can be read again: with a record, all that comes after it in its batch is lost."""
        unreadable = owned.position
        readable = self._consumer.highwater(owned.log) or owned.end_offset or unreadable + 1
        while readable - unreadable > 1:
            middle = (unreadable + readable) // 2
            if await self._is_readable(owned, middle):
                readable = middle
            else:
                unreadable = middle
        return readable

    async def _is_readable(self, owned: Owned, offset: int) -> bool:
        self._consumer.seek(owned.log, offset)
        for _ in range(QUIET_POLLS):
            try:
                taken = await self._consumer.getmany(owned.log, timeout_ms=POLL_MS, max_records=1)
            except Exception as error:
                if not may_be_undecodable(error):
                    raise
                return False
            if taken or await self._consumer.position(owned.log) > offset:
                break
        return True

    def _rewind(self) -> None:
        """Send the client back to what was accounted for: an error may have swallowed records."""
        for owned in self._owned.values():
            self._consumer.seek(owned.log, owned.position)
