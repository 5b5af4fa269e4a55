"""What accepted events add to each meter's windows, in log order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aggregator.aggregation import COMBINE, Value, empty
from aggregator.batch import OTHER, Adjustment, Increment, MeterTally, WindowKey
from aggregator.catalog import Catalog
from aggregator.groups import GroupKey, GroupSets, GroupValues
from aggregator.meter import Meter, MeterRefused
from schemas.wire import Event


class Accepted(NamedTuple):
    """An accepted event where it stands in the log."""

    place: int  # its index in the reading
    offset: int
    frontier_us: int
    event: Event


class MeterError(NamedTuple):
    """An accepted event that one meter version could not read."""

    place: int
    meter_version_id: int
    refused: MeterRefused


@dataclass(slots=True)
class Metered:
    """The meters' side of a batch."""

    increments: dict[WindowKey, Increment] = field(default_factory=dict)
    adjustments: list[Adjustment] = field(default_factory=list)
    errors: list[MeterError] = field(default_factory=list)
    groups_added: dict[GroupKey, frozenset[GroupValues]] = field(default_factory=dict)
    groups_needed: set[GroupKey] = field(default_factory=set)
    unmetered: int = 0
    late_by_pipeline: int = 0


def meter_events(accepted: Iterable[Accepted], catalog: Catalog, known_groups: GroupSets) -> Metered:
    """Add each event to the window of each meter that matches it, or make it an adjustment.

    An event is on time for a window iff `F(o) < window end + grace`.
    """
    metered = Metered()
    rows: dict[tuple[int, str, GroupValues, int], Increment] = {}  # by what the event says, before any limit
    for place, offset, frontier_us, event in accepted:
        is_matched = is_late = False
        for meter in _meters_of(event, catalog):
            if meter.filters and not meter.applies(event.values):
                continue
            is_matched = True
            groups = meter.groups(event.values) if meter.group_paths else ()
            value = meter.read(event.values)
            if isinstance(groups, MeterRefused) or isinstance(value, MeterRefused):
                refused = groups if isinstance(groups, MeterRefused) else value
                metered.errors.append(MeterError(place, meter.meter_version_id, refused))
                continue
            start_us = event.time_us - event.time_us % meter.window_us
            if frontier_us >= start_us + meter.window_us + meter.grace_us:
                is_late = True
                key = _limited(meter, event.subject, groups, start_us, metered, known_groups)
                metered.adjustments.append(_adjustment(offset, key, value, event.time_us))
                continue
            row = rows.get((meter.meter_version_id, event.subject, groups, start_us))
            if row is None:
                key = _limited(meter, event.subject, groups, start_us, metered, known_groups)
                row = metered.increments.get(key)
                if row is None:
                    row = metered.increments[key] = empty(meter.aggregation, offset)
                rows[meter.meter_version_id, event.subject, groups, start_us] = row
            row.events += 1
            row.last_offset = offset
            COMBINE[meter.aggregation](row, value, event.time_us, offset)
        metered.unmetered += not is_matched
        metered.late_by_pipeline += is_late and event.repair is not None
    return metered


def tallies(metered: Metered, catalog: Catalog) -> dict[int, MeterTally]:
    """The second ledger's rows: outcomes and sums by meter version."""
    by_version: dict[int, MeterTally] = {}
    for key, row in metered.increments.items():
        tally = by_version.setdefault(key.meter_version_id, MeterTally())
        tally.increments += row.events
        if catalog.versions[key.meter_version_id].aggregation == "sum":
            tally.increment_sum += row.value or 0
    for adjustment in metered.adjustments:
        version = adjustment.key.meter_version_id
        tally = by_version.setdefault(version, MeterTally())
        tally.adjustments += 1
        if catalog.versions[version].aggregation == "sum":
            tally.adjustment_sum += adjustment.value or 0
    for error in metered.errors:
        by_version.setdefault(error.meter_version_id, MeterTally()).errors += 1
    return by_version


def _meters_of(event: Event, catalog: Catalog) -> Sequence[Meter]:
    if event.repair is not None and event.repair.meter_version_id is not None:
        repaired = catalog.versions.get(event.repair.meter_version_id)
        return () if repaired is None else (repaired,)
    timeline = catalog.timelines.get(event.type)
    return () if timeline is None else timeline.at(event.time_us)


def _limited(
    meter: Meter,
    subject: str,
    groups: GroupValues,
    start_us: int,
    metered: Metered,
    known_groups: GroupSets,
) -> WindowKey:
    """The window's row, or the `other` row once the subject has used up the limit in this window."""
    if not groups:
        return WindowKey(meter.meter_version_id, subject, groups, start_us)
    key = GroupKey(meter.meter_version_id, subject, start_us)
    seen = metered.groups_added.get(key)
    if seen is None:
        seen = known_groups.get(key, meter.window_us)
        if seen is None:
            metered.groups_needed.add(key)
            seen = frozenset()
    if groups not in seen:
        if len(seen) >= meter.cardinality_limit:
            return WindowKey(meter.meter_version_id, subject, OTHER, start_us)
        metered.groups_added[key] = seen | {groups}
    return WindowKey(meter.meter_version_id, subject, groups, start_us)


def _adjustment(offset: int, key: WindowKey, value: Value, time_us: int) -> Adjustment:
    if isinstance(value, str):
        return Adjustment(offset, key, None, value, time_us)
    return Adjustment(offset, key, value, None, time_us)
