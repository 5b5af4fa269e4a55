"""Tables that grow with time are made a day or a month at a time, just before a flush needs the next one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from aggregator.batch import Batch
from aggregator.store.cache import StoreCache
from aggregator.store.sent import Sent
from schemas.instant import HOUR_US

_UNITS: Final[Mapping[str, str]] = {
    "batch": "M",
    "batch_meter": "M",
    "dedupe_chunk": "D",
    "usage_window": "M",
    "window_member": "M",
    "window_point": "M",
}


async def ensure(sent: Sent, batches: Sequence[Batch], cache: StoreCache) -> None:
    """Make the time partitions that these batches need and the cache does not know of, each on its own."""
    for table, instants_us in _instants(batches).items():
        wanted = {(table, start_us) for start_us in _starts(table, instants_us)} - cache.time_partitions
        if wanted:
            await sent.execute("ensure_partitions", table, sorted(start_us for _, start_us in wanted))
            cache.time_partitions |= wanted


def _instants(batches: Sequence[Batch]) -> dict[str, set[int]]:
    log_times = {batch.frontier_us for batch in batches if batch.frontier_us is not None}
    increments = [(key, row) for batch in batches for key, row in batch.increments.items()]
    return {
        "batch": log_times,
        "batch_meter": {b.frontier_us for b in batches if b.frontier_us is not None and b.meters},
        "dedupe_chunk": {hour * HOUR_US for batch in batches for hour in batch.ids},
        "usage_window": {key.window_start_us for key, _ in increments},
        "window_member": {key.window_start_us for key, row in increments if row.members},
        "window_point": {key.window_start_us for key, row in increments if row.points},
    }


def _starts(table: str, instants_us: Iterable[int]) -> list[int]:
    moments = np.array(list(instants_us), dtype="datetime64[us]")
    starts = np.unique(moments.astype(f"datetime64[{_UNITS[table]}]"))
    return [int(start) for start in starts.astype("datetime64[us]").astype(np.int64)]
