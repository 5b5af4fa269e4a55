"""What is measured of each flush, and the totals that a worker names at its end."""

import time
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from aggregator.batch import OTHER, Batch, LogRecord, Outcomes
from aggregator.catalog import Catalog
from metering.telemetry import Instruments, catalogue
from metering.worker.backlog import Backlog
from metering.worker.folder import Work
from metering.worker.owned import Owned

APPEND_TIME: Final = 1
"""The timestamp type of a record that the broker has stamped."""


class Measures:
    """Records measurements per batch, never per record."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self.totals: Counter[str] = Counter()  # records by outcome, of this process
        self.flushes = 0
        self._catalog_head: int | None = None  # of the meters whose counters have begun

    def committed(self, works: Sequence[Work], backlog: Backlog, catalog: Catalog) -> None:
        """A flush is committed; `catalog` has every meter version of it."""
        self.flushes += 1
        self._begin_meters(catalog)
        instruments, now_s = self._instruments, time.time()
        for work in works:
            batch = work.batch
            for outcome, count in zip(Outcomes._fields, batch.outcomes, strict=True):
                self.totals[outcome] += count
                instruments.add(catalogue.EVENTS, count, outcome=outcome)
            self._count_meters(batch, catalog)
            self._measure_latency(work.stretch.records, now_s)
            instruments.record(catalogue.BATCH_BYTES, work.stretch.size_bytes)
            instruments.record(catalogue.BATCH_RECORDS, batch.next_offset - batch.first_offset)
            self.where(work.owned)
        instruments.set(catalogue.BUFFERED_RECORDS, backlog.held_records)
        instruments.set(catalogue.BUFFERED_BYTES, backlog.held_bytes)

    def where(self, owned: Owned) -> None:
        """How far a partition is."""
        state, instruments, partition = owned.committed, self._instruments, owned.partition
        instruments.set(catalogue.REMEMBERED_IDS, len(state.memory), partition=partition)
        instruments.set(catalogue.REMEMBERED_BYTES, state.memory.size_bytes, partition=partition)
        if state.frontier_us is not None:
            instruments.set(catalogue.FRONTIER, state.frontier_us / 1e6, partition=partition)
        if owned.end_offset is not None:
            instruments.set(catalogue.LAG_RECORDS, lag_records(owned), partition=partition)
            instruments.set(catalogue.LAG_SECONDS, lag_s(owned), partition=partition)

    def holding(self, partitions: Collection[int]) -> None:
        """These partitions are claimed."""
        self._instruments.add(catalogue.CLAIMS, len(partitions))
        self._instruments.set(catalogue.OWNED_PARTITIONS, len(partitions))

    def let_go(self, partitions: Collection[int]) -> None:
        """These partitions are another's now: nothing more is said of them."""
        self._instruments.set(catalogue.OWNED_PARTITIONS, 0)
        for partition in partitions:
            self._instruments.forget(partition=partition)

    def _begin_meters(self, catalog: Catalog) -> None:
        """A rate is seen only of what was 0 before."""
        if catalog.head == self._catalog_head:
            return
        self._catalog_head = catalog.head
        for meter in {version.name for version in catalog.versions.values()}:
            self._instruments.begin(catalogue.METER_ERRORS, meter=meter)
            self._instruments.begin(catalogue.OVERFLOW, meter=meter)

    def _count_meters(self, batch: Batch, catalog: Catalog) -> None:
        instruments = self._instruments
        tallies = batch.meters.values()
        instruments.add(catalogue.METER_EVENTS, sum(t.increments for t in tallies), outcome="increment")
        instruments.add(catalogue.METER_EVENTS, sum(t.adjustments for t in tallies), outcome="adjustment")
        instruments.add(catalogue.METER_EVENTS, sum(t.voids for t in tallies), outcome="void")
        instruments.add(catalogue.METER_EVENTS, sum(t.errors for t in tallies), outcome="error")
        instruments.add(catalogue.METER_EVENTS, batch.unmetered, outcome="unmetered")
        instruments.add(catalogue.LATE_BY_PIPELINE, batch.late_by_pipeline)
        for version, tally in batch.meters.items():
            if tally.errors:
                meter = catalog.versions[version].name
                instruments.add(catalogue.METER_ERRORS, tally.errors, meter=meter)
        for key, one in batch.increments.items():
            if key.groups is OTHER:
                meter = catalog.versions[key.meter_version_id].name
                instruments.add(catalogue.OVERFLOW, one.events, meter=meter)
        for code, count in Counter(row.code for row in batch.quarantined).items():
            instruments.add(catalogue.REFUSALS, count, code=code)

    def _measure_latency(self, records: Sequence[LogRecord], now_s: float) -> None:
        """A record's own time says nothing of when it came, so only the broker's is measured from."""
        if records and records[0].timestamp_type == APPEND_TIME:
            for which, record in (("oldest", records[0]), ("newest", records[-1])):
                latency_s = max(0.0, now_s - record.timestamp / 1e3)
                self._instruments.record(catalogue.VISIBLE_LATENCY, latency_s, record=which)


def lag_records(owned: Owned) -> int:
    """Offsets in the log that are not yet committed."""
    return max(0, (owned.end_offset or 0) - owned.committed.next_offset)


def lag_s(owned: Owned) -> float:
    """The log's newest timestamp less the frontier, as far as it is known; 0 when caught up."""
    frontier_us = owned.committed.frontier_us
    if not lag_records(owned) or frontier_us is None or owned.log_end_us is None:
        return 0.0
    return max(0.0, (owned.log_end_us - frontier_us) / 1e6)
