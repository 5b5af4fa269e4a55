"""What accepted events add to each meter's windows."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from aggregator.aggregation import INCREMENT_OF, Points
from aggregator.batch import OTHER, Adjustment, Increment, MeterTally, WindowKey
from aggregator.catalog import Catalog
from aggregator.groups import GroupKey, GroupSets, GroupValues
from aggregator.memory import I64
from aggregator.meter import Meter, MeterRefused
from schemas.wire import Event


class Accepted(NamedTuple):
    """Accepted events in log order, as columns."""

    events: Sequence[Event]
    subjects: Sequence[str]
    offsets: Sequence[int]
    places: I64  # indexes in the reading
    times_us: I64
    frontiers_us: I64

    def rows(self, chosen: Sequence[int]) -> "Accepted":
        """Some of them, in the order given."""
        if len(chosen) == len(self.events):
            return self
        return Accepted(
            [self.events[row] for row in chosen],
            [self.subjects[row] for row in chosen],
            [self.offsets[row] for row in chosen],
            self.places[chosen],
            self.times_us[chosen],
            self.frontiers_us[chosen],
        )


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


def meter_events(accepted: Accepted, catalog: Catalog, known_groups: GroupSets) -> Metered:
    """Add each event to the window of each meter that matches it, or make it an adjustment.

    An event is on time for a window iff `F(o) < window end + grace`. The frontier only grows, so within a
    window the events on time come before the late ones, and each meter can be done on its own.
    """
    metered = Metered()
    is_matched = np.zeros(len(accepted.events), dtype=bool)
    is_late = np.zeros(len(accepted.events), dtype=bool)
    for meter, rows in _rows_by_meter(accepted, catalog):
        is_matched[rows] = True
        late_rows = _add(meter, accepted.rows(rows), metered, known_groups)
        is_late[[rows[row] for row in late_rows]] = True
    metered.adjustments.sort(key=lambda adjustment: (adjustment.offset, adjustment.key.meter_version_id))
    metered.unmetered = int((~is_matched).sum())
    metered.late_by_pipeline = sum(
        accepted.events[row].repair is not None for row in np.flatnonzero(is_late).tolist()
    )
    return metered


def tallies(metered: Metered, catalog: Catalog) -> dict[int, MeterTally]:
    """The second ledger's rows: outcomes and sums by meter version."""
    by_version: dict[int, MeterTally] = defaultdict(MeterTally)
    for key, increment in metered.increments.items():
        tally = by_version[key.meter_version_id]
        tally.increments += increment.events
        if catalog.versions[key.meter_version_id].aggregation == "sum":
            tally.increment_sum += increment.value or 0
    for adjustment in metered.adjustments:
        tally = by_version[adjustment.key.meter_version_id]
        tally.adjustments += 1
        if catalog.versions[adjustment.key.meter_version_id].aggregation == "sum":
            tally.adjustment_sum += adjustment.value or 0
    for error in metered.errors:
        by_version[error.meter_version_id].errors += 1
    return dict(by_version)


def _rows_by_meter(accepted: Accepted, catalog: Catalog) -> Iterator[tuple[Meter, Sequence[int]]]:
    """Each meter with the rows of the events that it counts."""
    by_type: dict[str, list[int]] = defaultdict(list)
    by_repair: dict[int, list[int]] = defaultdict(list)
    for row, event in enumerate(accepted.events):
        if event.repair is None or event.repair.meter_version_id is None:
            by_type[event.type].append(row)
        else:
            by_repair[event.repair.meter_version_id].append(row)
    by_version: dict[int, list[int]] = defaultdict(list)
    for event_type, rows in by_type.items():
        timeline = catalog.timelines.get(event_type)
        if timeline is not None:
            for meters, span in timeline.spans(rows, accepted.times_us):
                for meter in meters:
                    by_version[meter.meter_version_id] += meter.applying(accepted.events, span)
    for version, rows in by_repair.items():
        by_version[version] = sorted(by_version[version] + rows)
    for version, rows in sorted(by_version.items()):
        if version in catalog.versions:
            yield catalog.versions[version], rows


def _add(meter: Meter, accepted: Accepted, metered: Metered, known_groups: GroupSets) -> list[int]:
    """Add a meter's events; the rows that were late for their windows are returned."""
    starts_us = accepted.times_us - accepted.times_us % meter.window_us
    is_late = accepted.frontiers_us >= starts_us + (meter.window_us + meter.grace_us)
    values, groups, refused = meter.read(accepted.events)
    for row, reason in refused.items():
        metered.errors.append(MeterError(int(accepted.places[row]), meter.meter_version_id, reason))
    rows: Sequence[int] = range(len(accepted.events))
    late_rows: list[int] = []
    if refused or is_late.any():
        late_rows = [row for row in np.flatnonzero(is_late).tolist() if row not in refused]
        rows = [row for row in np.flatnonzero(~is_late).tolist() if row not in refused]
    starts = starts_us.tolist()
    alike: dict[tuple[str, GroupValues, int], list[int]] = defaultdict(list)
    if len(rows) == len(starts):
        for row, says in enumerate(zip(accepted.subjects, groups, starts, strict=True)):
            alike[says].append(row)
    else:
        for row in rows:
            alike[accepted.subjects[row], groups[row], starts[row]].append(row)
    windows: dict[WindowKey, list[int]] = {}
    for (subject, group, start_us), members in alike.items():
        key = _limited(meter, subject, group, start_us, metered, known_groups)
        windows[key] = sorted(windows[key] + members) if key in windows else members
    points = Points(values, accepted.times_us, accepted.offsets)
    increment_of = INCREMENT_OF[meter.aggregation]
    for key, members in windows.items():
        metered.increments[key] = increment_of(points, members)
    for row in late_rows:
        key = _limited(meter, accepted.subjects[row], groups[row], starts[row], metered, known_groups)
        value, time_us = values[row], int(accepted.times_us[row])
        number, member = (None, value) if isinstance(value, str) else (value, None)
        frontier_us = int(accepted.frontiers_us[row])
        metered.adjustments.append(
            Adjustment(accepted.offsets[row], key, number, member, time_us, frontier_us)
        )
    return late_rows


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
