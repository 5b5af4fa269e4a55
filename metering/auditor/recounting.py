"""One stretch of a partition's log, recounted for some subjects and set beside what is stored of them."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from aiokafka import ConsumerRecord

from aggregator.health.finding import Finding, Kind
from aggregator.store import explanation
from aggregator.store import proof as store
from aggregator.store.connection import Connection
from aggregator.store.explanation import Scope
from aggregator.store.replay import Decisions
from metering.auditor.check import Check
from metering.auditor.ids import Ids
from metering.auditor.stretch import Provable
from metering.auditor.summary import summary
from metering.explain.facts import Facts, recounted_beside, recounted_window, stored_beside, stored_window
from metering.explain.log import read_log
from metering.explain.recount import Key, MeterRule, Recount
from metering.explain.windows import judged_by, key_of, without_skips
from metering.settings import Settings
from schemas.instant import format_time

if TYPE_CHECKING:
    from aggregator.health.ledger import Batch

Records = Sequence[ConsumerRecord[bytes, bytes]]


ANSWER_S: Final = 8.0
"""Longest wait for records that are there; less than a session of the database may be silent."""

_AT_ONCE: Final = 1_000
"""Records between two chances for others, such as who asks for the process's health."""


class Recounting:
    """Reads a stretch step by step, then compares."""

    def __init__(
        self,
        settings: Settings,
        decided: Decisions,
        rules: Mapping[int, MeterRule],
        provable: Provable,
        ids: Ids | None = None,
    ) -> None:
        self.provable = provable
        self._ids = ids
        self.records = 0
        self._settings = settings
        self._decided = decided
        self._rules = rules
        self._subjects: Sequence[str] = ()
        self._batches: Sequence[Batch] = ()
        self._counts: list[int] = []
        self._recount: Recount | None = None
        self._reading: AsyncGenerator[Records] | None = None

    async def begin(self, connection: Connection, subjects: Sequence[str]) -> None:
        """Prepare to recount these subjects."""
        partition = self.provable.partition
        self._subjects = subjects
        ledger: list[Batch] = []
        offset = self.provable.first_offset
        while offset < self.provable.next_offset:
            ledger += (more := await store.batches(connection, partition, offset, 5_000))
            if not more:
                break
            offset = more[-1].next_offset
        self._batches = [batch for batch in ledger if batch.next_offset <= self.provable.next_offset]
        self._counts = [0] * len(self._batches)
        self._recount = Recount(
            partition,
            judged_by(self._decided.rules),
            list(self._rules.values()),
            subjects,
            self.provable.frontier_us,
            {cap.offset: cap.cap_us for cap in self._decided.caps if cap.partition == partition},
            await explanation.rejected(connection, partition),
        )
        self._reading = self._read()

    async def read(self) -> bool:
        """Read a little more; whether there is more.

        Raises:
            StoppedError: retention has deleted some of it (`log_start_gone`).
            KafkaError, TimeoutError: the brokers do not let it be read now.
        """
        assert self._reading is not None  # noqa: S101 - begun
        async with asyncio.timeout(ANSWER_S):
            records = await anext(self._reading, None)
        if records is None:
            return False
        await self._take(records)
        return True

    async def close(self) -> None:
        """Let the client go."""
        if self._reading is not None:
            await self._reading.aclose()

    async def _read(self) -> AsyncGenerator[Records]:
        one = self.provable
        stretches = without_skips(one.partition, one.first_offset, one.next_offset, self._decided)
        async for _, records in read_log(self._settings, self._decided.rules.name, list(stretches)):
            yield records

    async def _take(self, records: Records) -> None:
        assert self._recount is not None  # noqa: S101 - begun
        firsts = [batch.first_offset for batch in self._batches]
        for number, record in enumerate(records, 1):
            self._recount.take(record)
            if self._ids is not None:
                self._ids.take(record)
            nth = bisect_right(firsts, record.offset) - 1
            if nth >= 0 and record.offset < self._batches[nth].next_offset:
                self._counts[nth] += 1
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        self.records += len(records)

    async def compare(self, connection: Connection) -> list[Check]:
        """Set everything that the stretch proves of these subjects beside what is stored."""
        assert self._recount is not None  # noqa: S101 - begun
        found, one = self._recount.found, self.provable
        scope = Scope(sorted(self._rules), self._subjects, one.from_us, one.until_us)
        stored: dict[Key, Facts] = {}
        for row in await explanation.windows(connection, scope):
            if row.shard == one.partition and self._is_proved(key_of(row)):
                stored[key_of(row)] = stored_window(row)
        again = {
            key: recounted_window(self._rules[key.meter_version_id].aggregation, events)
            for key, events in found.windows.items()
            if self._is_proved(key)
        }
        checks = [
            self._check(Kind.WINDOW, self._window(key), again.get(key), stored.get(key))
            for key in {**stored, **again}
        ]
        return checks + await self._beside(connection, scope)

    def _is_proved(self, key: Key) -> bool:
        rule = self._rules.get(key.meter_version_id)
        return rule is not None and self.provable.proves(key, rule)

    async def _beside(self, connection: Connection, scope: Scope) -> list[Check]:
        """What stands beside the windows: as the log has it, and as it is stored."""
        assert self._recount is not None  # noqa: S101 - begun
        one = self.provable
        rows = {
            (row.offset, row.meter_version_id): row
            for row in await explanation.adjustments(connection, scope)
            if row.partition == one.partition and row.offset < one.next_offset
        }
        found = {
            place: beside
            for place, beside in self._recount.found.beside.items()
            if one.from_us <= beside.key.start_us < one.until_us
        }
        checks = []
        for place in sorted({*rows, *found}):
            row, beside = rows.get(place), found.get(place)
            key = key_of(row) if beside is None else beside.key
            again = None if beside is None else recounted_beside(beside)
            stored = None if row is None else stored_beside(row)
            checks.append(self._check(Kind.ADJUSTMENT, self._adjustment(key, place[0]), again, stored))
        return checks

    async def remembered(self, connection: Connection) -> list[Check]:
        """Whether ids of what was read are stored, if any were to be looked for."""
        return [] if self._ids is None else await self._ids.compare(connection)

    def accounted(self) -> list[Check]:
        """Whether as many records lie in the log as the ledger says, batch by batch."""
        return [
            Check(
                Finding(
                    Kind.RECORDS,
                    "A batch accounts for other records than lie in the log.",
                    {"partition": self.provable.partition, "from": batch.first_offset},
                    {"next_offset": batch.next_offset, "records": count},
                    {"next_offset": batch.next_offset, "records": batch.records},
                ),
                is_equal=count == batch.records,
            )
            for batch, count in zip(self._batches, self._counts, strict=True)
        ]

    def _check(
        self, kind: Kind, place: Mapping[str, Any], expected: Facts | None, found: Facts | None
    ) -> Check:
        finding = Finding(kind, _SENTENCES[kind], place, summary(expected), summary(found))
        return Check(finding, is_equal=expected == found)

    def _window(self, key: Key) -> dict[str, Any]:
        """What names a window."""
        return {
            "meter": self._rules[key.meter_version_id].meter,
            "meter_version_id": key.meter_version_id,
            "subject": key.subject,
            "groups": None if key.groups is None else list(key.groups),  # None: `other`
            "window": format_time(key.start_us),
            "window_us": key.start_us,
            "partition": self.provable.partition,
        }

    def _adjustment(self, key: Key, offset: int) -> dict[str, Any]:
        """What names a row beside a window."""
        return {
            "meter": self._rules[key.meter_version_id].meter,
            "meter_version_id": key.meter_version_id,
            "subject": key.subject,
            "partition": self.provable.partition,
            "offset": offset,
        }


_SENTENCES: Final = {
    Kind.WINDOW: "A final window is not what the log comes to.",
    Kind.ADJUSTMENT: "A row beside a window is not what the log comes to.",
}
