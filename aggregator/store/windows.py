"""What a flush adds to windows, their members and points, and the adjustments."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final

from aggregator.batch import Adjustment, Batch, Increment, WindowKey
from aggregator.store.cache import SeriesName, StoreCache
from aggregator.store.sent import Sent
from aggregator.store.series import series_ids
from schemas.instant import SECOND_US

_MERGE: Final[Mapping[str, str]] = {"sum": "sum", "count": "sum", "unique": "sum", "min": "min", "max": "max"}
"""How the values of a window merge, by the meter's aggregation."""

_REPLACED: Final = frozenset(("last", "gauge"))
"""Aggregations whose windows hold their newest value."""

_SERIES: Final = itemgetter(0)


Increments = Iterable[tuple[int, Batch, WindowKey, Increment]]  # with their series' ids
Adjustments = Iterable[tuple[int, Batch, Adjustment]]


async def write(
    sent: Sent, batches: Sequence[Batch], kinds: Mapping[int, str], cache: StoreCache
) -> dict[SeriesName, int]:
    """Write all that the batches' meters made.

    Returns:
        Series that the cache does not know yet, to remember after the commit.
    """
    increments = [(batch, key, row) for batch in batches for key, row in batch.increments.items()]
    adjustments = [(batch, row) for batch in batches for row in batch.adjustments]
    names = [key[:3] for _, key, _ in increments] + [row.key[:3] for _, row in adjustments]
    ids, fresh = await series_ids(sent, names, cache)
    numbered = [(series_id, *increment) for series_id, increment in zip(ids, increments, strict=False)]
    await _write_windows(sent, numbered, kinds)
    await _write_members(sent, numbered)
    await _write_points(sent, numbered)
    late_ids = ids[len(increments) :]
    await _write_adjustments(
        sent, [(series_id, *late) for series_id, late in zip(late_ids, adjustments, strict=True)]
    )
    return fresh


async def _write_windows(sent: Sent, increments: Increments, kinds: Mapping[int, str]) -> None:
    merged: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    replaced = []
    for series_id, batch, key, increment in increments:
        start_us, value = key.window_start_us, increment.value
        offsets_and_events = (increment.first_offset, increment.last_offset, increment.events)
        kind = kinds[key.meter_version_id]
        if kind in _REPLACED:
            newest = (_text(value), increment.value_time_us, increment.value_offset)
            replaced.append((series_id, start_us, batch.partition, *offsets_and_events, *newest))
        else:
            row = (series_id, start_us // SECOND_US, batch.partition, *offsets_and_events, value)
            merged[_MERGE[kind]].append(row)
    # In the order of series, each page of the index is visited once.
    for how, rows in sorted(merged.items()):
        columns = zip(*sorted(rows, key=_SERIES), strict=True)
        await sent.execute("merge_windows", *map(_array_text, columns), how)
    await sent.insert("replace_windows", sorted(replaced, key=_SERIES))


def _array_text(column: Iterable[int | Decimal | None]) -> str:
    """Numbers as Postgres reads an array of them: exact, and quicker to make than its binary form."""
    return f"{{{','.join(map(str, column))}}}".replace("None", "NULL")


async def _write_members(sent: Sent, increments: Increments) -> None:
    rows = [
        (series_id, key.window_start_us, batch.partition, member)
        for series_id, batch, key, increment in increments
        if increment.members
        for member in increment.members
    ]
    await sent.insert("insert_members", sorted(rows))


async def _write_points(sent: Sent, increments: Increments) -> None:
    rows = [
        (series_id, key.window_start_us, batch.partition, point.time_us, point.offset, _text(point.value))
        for series_id, batch, key, increment in increments
        if increment.points
        for point in increment.points
    ]
    await sent.insert("insert_points", sorted(rows))


async def _write_adjustments(sent: Sent, adjustments: Adjustments) -> None:
    rows = [
        (
            batch.partition,
            adjustment.offset,
            adjustment.key.meter_version_id,
            series_id,
            adjustment.key.window_start_us,
            adjustment.kind,
            adjustment.events,
            _text(adjustment.value),
            adjustment.member,
            adjustment.event_time_us,
            batch.first_offset,
            adjustment.frontier_us,
        )
        for series_id, batch, adjustment in adjustments
    ]
    await sent.insert("insert_adjustments", rows)


def _text(value: int | Decimal | None) -> str | None:
    """A number as Postgres reads it: exact, and three times quicker than its binary form."""
    return None if value is None else str(value)
