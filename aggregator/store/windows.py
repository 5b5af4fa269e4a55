"""What a flush adds to windows, their members and the adjustments."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from aggregator.batch import Batch, WindowKey
from aggregator.store.cache import SeriesName, StoreCache
from aggregator.store.sent import Sent
from aggregator.store.series import series_ids

_MERGE: Final[Mapping[str, str]] = {"sum": "sum", "count": "sum", "unique": "sum", "min": "min", "max": "max"}
"""How the values of a window merge, by the meter's aggregation; `last` has a statement of its own."""


async def write(
    sent: Sent, batches: Sequence[Batch], kinds: Mapping[int, str], cache: StoreCache
) -> dict[SeriesName, int]:
    """Write all that the batches' meters made.

    Returns:
        Series that the cache does not know yet, to remember after the commit.
    """
    keys = [key for batch in batches for key in batch.increments]
    keys += [adjustment.key for batch in batches for adjustment in batch.adjustments]
    ids, fresh = await series_ids(sent, {_name(key) for key in keys}, cache)
    await _write_windows(sent, batches, kinds, ids)
    await _write_members(sent, batches, ids)
    await _write_adjustments(sent, batches, ids)
    return fresh


async def _write_windows(
    sent: Sent, batches: Sequence[Batch], kinds: Mapping[int, str], ids: Mapping[SeriesName, int]
) -> None:
    merged: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    replaced = []
    for batch in batches:
        for key, increment in batch.increments.items():
            row = (
                ids[_name(key)],
                key.window_start_us,
                batch.partition,
                increment.first_offset,
                increment.last_offset,
                increment.events,
                _text(increment.value),
            )
            kind = kinds[key.meter_version_id]
            if kind == "last":
                replaced.append((*row, increment.value_time_us, increment.value_offset))
            else:
                merged[_MERGE[kind]].append(row)
    # In the order of the primary key, pages are visited once.
    for how, rows in sorted(merged.items()):
        await sent.insert("merge_windows", sorted(rows), how)
    await sent.insert("replace_windows", sorted(replaced))


async def _write_members(sent: Sent, batches: Sequence[Batch], ids: Mapping[SeriesName, int]) -> None:
    rows = [
        (ids[_name(key)], key.window_start_us, batch.partition, member)
        for batch in batches
        for key, increment in batch.increments.items()
        if increment.members
        for member in increment.members
    ]
    await sent.insert("insert_members", sorted(rows))


async def _write_adjustments(sent: Sent, batches: Sequence[Batch], ids: Mapping[SeriesName, int]) -> None:
    rows = [
        (
            batch.partition,
            adjustment.offset,
            adjustment.key.meter_version_id,
            ids[_name(adjustment.key)],
            adjustment.key.window_start_us,
            _text(adjustment.value),
            adjustment.member,
            adjustment.event_time_us,
            batch.first_offset,
            adjustment.frontier_us,
        )
        for batch in batches
        for adjustment in batch.adjustments
    ]
    await sent.insert("insert_adjustments", rows)


def _name(key: WindowKey) -> SeriesName:
    return SeriesName(key.meter_version_id, key.subject, key.groups)


def _text(value: int | Decimal | None) -> str | None:
    """A number as Postgres reads it: exact, and three times quicker than its binary form."""
    return None if value is None else str(value)
