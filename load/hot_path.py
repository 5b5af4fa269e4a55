"""What a record costs on its way from Kafka's bytes to a batch, by stage: decode and fold, and nothing else.

Everything happens in this process, on records made here: a change of the hot path shows within seconds.
"""

import gc
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from statistics import median
from typing import Any, Final, ParamSpec, TypeVar

import cyclopts
from aiokafka import ConsumerRecord
from rich.console import Console
from rich.table import Table
from workload import CATALOG, HEADERS, Workload

import aggregator.fold
from aggregator.batch import Batch
from aggregator.catalog import Catalog, compile_catalog
from aggregator.reading import read
from aggregator.state import Claimed, PartitionState, TopicRules, opened, settled
from metering.process.tuning import GC_THRESHOLDS
from metering.worker import folding
from metering.worker.backlog import Stretch, joined
from schemas.catalog import load_catalog
from schemas.partitioner import murmur2_partition

HOUR_US: Final = 3_600_000_000
PIECE_RECORDS: Final = 20_000
RECORDS_PER_MS: Final = 100
AGE_MS: Final = 3_600_000
WARM_UP_FLUSHES: Final = 1

RULES: Final = TopicRules(
    name="usage.events",
    partitions=6,
    clock="broker",
    partitioner="murmur2",
    acceptance_window_us=48 * HOUR_US,
    skew_us=300_000_000,
    repair_horizon_us=35 * 24 * HOUR_US,
    identity_key=bytes(range(16)),
)

STAGES: Final = {
    "decode": (sys.modules[__name__], "read"),
    "check": (folding, "_first_stop"),
    "clock": (aggregator.fold, "frontiers_us"),
    "admission": (aggregator.fold, "admit"),
    "identity": (aggregator.fold, "_queries"),
    "dedupe": (aggregator.fold, "deduplicate"),
    "accepted": (aggregator.fold, "_accepted"),
    "meters": (aggregator.fold, "meter_events"),
    "batch": (aggregator.fold, "_batch"),  # packing, the next state and its memory, the meters' tallies
    "settle": (sys.modules[__name__], "settled"),
}
"""The timed functions and the modules that call them, by their stage."""

Records = Sequence[ConsumerRecord[bytes, bytes]]
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A meter version as the store would give it."""

    meter_version_id: int
    meter: str
    version: int
    definition: dict[str, Any]
    effective_from_us: int | None = None
    retired: bool = False


@dataclass(frozen=True, slots=True)
class StoredCatalog:
    """The workload's catalog as the store would give it."""

    head: int
    versions: Sequence[StoredVersion]


class Stopwatch:
    """Adds up the seconds spent in functions."""

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = defaultdict(float)

    def timed(self, stage: str, function: Callable[P, R]) -> Callable[P, R]:
        """The function, on the clock."""

        @wraps(function)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            began_s = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.spent_s[stage] += time.thread_time() - began_s

        return timed


class Log:
    """Kafka records of the workload, partition by partition, in the order a broker would have given them."""

    def __init__(self) -> None:
        self._workload = Workload(1)
        self._next_offsets = [0] * RULES.partitions
        self._now_ms = time.time_ns() // 1_000_000 - AGE_MS

    def stretches(self, count: int) -> Sequence[Records]:
        """The next `count` records, a list per partition."""
        events = self._workload.events(count, self._now_ms * 1000)
        partitions: list[list[ConsumerRecord[bytes, bytes]]] = [[] for _ in range(RULES.partitions)]
        for place, (key, value) in enumerate(zip(events.keys, events.values, strict=True)):
            partition = _partition_of(key)
            stamp_ms = self._now_ms + place // RECORDS_PER_MS
            partitions[partition].append(self._record(partition, stamp_ms, key, value))
        self._now_ms += count // RECORDS_PER_MS
        return partitions

    def _record(
        self, partition: int, stamp_ms: int, key: bytes, value: bytes
    ) -> ConsumerRecord[bytes, bytes]:
        offset = self._next_offsets[partition]
        self._next_offsets[partition] += 1
        return ConsumerRecord(
            RULES.name,
            partition,
            offset,
            stamp_ms,
            1,
            key,
            value,
            None,
            len(key),
            len(value),
            list(HEADERS),  # as the worker gets them
        )


@cache
def _partition_of(key: bytes) -> int:
    return murmur2_partition(key, RULES.partitions)


def catalog() -> Catalog:
    """The workload's catalog, compiled."""
    meters = load_catalog(CATALOG, "load/workload.py").meters
    versions = [StoredVersion(place, m.name, 1, m.definition()) for place, m in enumerate(meters, 1)]
    return compile_catalog(StoredCatalog(1, versions))


def fetched(log: Log, count: int, states: Sequence[PartitionState]) -> list[list[Stretch]]:
    """The next `count` records, each piece decoded while the processor's cache still holds it."""
    first_offsets = [state.next_offset for state in states]
    partitions: list[list[Stretch]] = [[] for _ in states]
    for piece in range(0, count, PIECE_RECORDS):
        for partition, records in enumerate(log.stretches(min(PIECE_RECORDS, count - piece))):
            first, end = first_offsets[partition], first_offsets[partition] + len(records)
            partitions[partition].append(Stretch(read(partition, first, end, records), 0, 0, 0, 0))
            first_offsets[partition] = end
    return partitions


def run_flush(stretches: list[list[Stretch]], states: list[PartitionState], meters: Catalog) -> int:
    """Join, check, fold and settle one flush's worth, as the worker does; how many events were accepted."""
    jobs = [(joined(parts), state) for parts, state in zip(stretches, states, strict=True)]
    stretches.clear()
    accepted = 0
    for stretch, before in jobs:
        _, stop, batch = folding.fold_stretch(stretch, before, meters, time.time_ns() // 1000)
        if stop is not None or not isinstance(batch, Batch):
            raise TypeError(f"the fold gave {batch}, and {stop} to stop at")
        state = batch.next_state
        states[batch.partition] = settled(state, state, meters.windows_us)
        accepted += batch.outcomes.accepted
    return accepted


def main(*, flushes: int = 8, records: int = 100_000) -> None:
    """Print microseconds per record by stage, the median of several flushes.

    Args:
        flushes: how many are measured.
        records: in each of them, over six partitions.
    """
    stopwatch = Stopwatch()
    for stage, (module, name) in STAGES.items():
        setattr(module, name, stopwatch.timed(stage, getattr(module, name)))
    log, meters = Log(), catalog()
    states = [opened(RULES, Claimed(p, 0, None, None, None), b"", {}) for p in range(RULES.partitions)]
    measured: dict[str, list[float]] = defaultdict(list)
    gc.set_threshold(*GC_THRESHOLDS)
    gc.collect()
    gc.freeze()
    for flush in range(WARM_UP_FLUSHES + flushes):
        stopwatch.spent_s.clear()
        stretches = fetched(log, records, states)
        decode_s = stopwatch.spent_s["decode"]
        began_s = time.thread_time()
        accepted = run_flush(stretches, states, meters)
        total_s = decode_s + time.thread_time() - began_s
        if accepted != records:
            msg = f"{accepted} of {records} events were accepted: the figures would be of something else"
            raise ValueError(msg)
        if flush >= WARM_UP_FLUSHES:
            for stage in STAGES:
                measured[stage].append(stopwatch.spent_s[stage] / records * 1e6)
            measured["the rest"].append((total_s - sum(stopwatch.spent_s.values())) / records * 1e6)
            measured["total"].append(total_s / records * 1e6)
    table = Table("stage", *(f"{kind} µs" for kind in ("median", "least", "most")))
    for stage, costs_us in measured.items():
        table.add_row(stage, *(f"{of(costs_us):.2f}" for of in (median, min, max)))
    Console().print(table)


if __name__ == "__main__":
    cyclopts.run(main)
