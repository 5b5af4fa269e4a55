"""What accepted events add to each meter's windows."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from aggregator.aggregation import Points, Value, increments_of
from aggregator.batch import OTHER, Adjustment, Increment, MeterTally, WindowKey
from aggregator.catalog import Catalog
from aggregator.columns import coded, segments
from aggregator.groups import GroupKey, GroupSets, GroupValues
from aggregator.memory import I64
from aggregator.meter import Groups, Meter, MeterRefused
from schemas.wire import Event


class Subjects(NamedTuple):
    """The subjects of some events: a code each, and what it stands for."""

    codes: I64
    names: Sequence[str]


class Accepted(NamedTuple):
    """Accepted events in log order, as columns."""

    events: Sequence[Event]
    subjects: Subjects
    repaired_for: Mapping[int, int]  # row -> the one meter version that it is repaired for
    places: I64  # indexes in the reading
    offsets: I64
    times_us: I64
    frontiers_us: I64

    def rows(self, chosen: I64) -> "Accepted":
        """Some of them, in log order."""
        if len(chosen) == len(self.events):
            return self
        return Accepted(
            [self.events[row] for row in chosen.tolist()],
            Subjects(self.subjects.codes[chosen], self.subjects.names),
            {},
            self.places[chosen],
            self.offsets[chosen],
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
    for meter, rows in rows_by_meter(accepted, catalog):
        is_matched[rows] = True
        late_rows = _add(meter, accepted.rows(rows), metered, known_groups)
        is_late[rows[late_rows]] = True
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
        is_summed = catalog.versions[adjustment.key.meter_version_id].aggregation == "sum"
        value = (adjustment.value or 0) if is_summed else 0
        if adjustment.kind == "void":
            tally.voids += 1
            tally.void_sum += value
        else:
            tally.adjustments += 1
            tally.adjustment_sum += value
    for error in metered.errors:
        by_version[error.meter_version_id].errors += 1
    return dict(by_version)


def rows_by_meter(accepted: Accepted, catalog: Catalog) -> Iterator[tuple[Meter, I64]]:
    """Each meter with the rows of the events that it counts."""
    by_version: dict[int, list[I64]] = defaultdict(list)
    for event_type, rows in _rows_by_type(accepted):
        timeline = catalog.timelines.get(event_type)
        if timeline is not None:
            for meters, span in timeline.spans(rows, accepted.times_us):
                for meter in meters:
                    by_version[meter.meter_version_id].append(meter.applying(accepted.events, span))
    for row, version in accepted.repaired_for.items():
        is_counted = catalog.since_us is None or accepted.times_us[row] >= catalog.since_us
        if version in catalog.versions and is_counted:
            by_version[version].append(np.array([row]))
    for version, parts in sorted(by_version.items()):
        yield catalog.versions[version], parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts))


def _rows_by_type(accepted: Accepted) -> Iterator[tuple[str, I64]]:
    codes, types = coded([event.type for event in accepted.events])
    codes[list(accepted.repaired_for)] = -1  # their meter is named
    for code, event_type in enumerate(types):
        yield event_type, np.flatnonzero(codes == code)


def _add(meter: Meter, accepted: Accepted, metered: Metered, known_groups: GroupSets) -> I64:
    """Add a meter's events; the rows that were late for their windows are returned."""
    starts_us = accepted.times_us - accepted.times_us % meter.window_us
    is_late = accepted.frontiers_us >= starts_us + (meter.window_us + meter.grace_us)
    is_read = np.ones(len(starts_us), dtype=bool)
    values, groups, refused = meter.read(accepted.events)
    for row, reason in refused.items():
        is_read[row] = False
        metered.errors.append(MeterError(int(accepted.places[row]), meter.meter_version_id, reason))
    _add_on_time(
        meter, accepted, np.flatnonzero(is_read & ~is_late), starts_us, values, groups, metered, known_groups
    )
    late_rows = np.flatnonzero(is_read & is_late)
    for row in late_rows.tolist():
        subject = accepted.subjects.names[accepted.subjects.codes[row]]
        key = window_of(meter, subject, groups.of(row), int(starts_us[row]), metered, known_groups)
        value = values[row]
        number, member = (None, value) if isinstance(value, str) else (value, None)
        metered.adjustments.append(
            Adjustment(
                int(accepted.offsets[row]),
                key,
                number,
                member,
                int(accepted.times_us[row]),
                int(accepted.frontiers_us[row]),
            )
        )
    return late_rows


def _add_on_time(
    meter: Meter,
    accepted: Accepted,
    rows: I64,
    starts_us: I64,
    values: Sequence[Value],
    groups: Groups,
    metered: Metered,
    known_groups: GroupSets,
) -> None:
    if not len(rows):
        return
    if len(rows) < len(values):
        values = [values[row] for row in rows.tolist()]
    starts_us, offsets = starts_us[rows], accepted.offsets[rows]
    group_codes, distinct_groups = groups.codes[rows], groups.distinct
    first_us = int(starts_us.min())
    start_codes = (starts_us - first_us) // meter.window_us
    subject_codes = accepted.subjects.codes[rows]
    codes = (start_codes * len(accepted.subjects.names) + subject_codes) * len(distinct_groups) + group_codes
    windows = segments(codes)
    first_rows = windows.first_rows
    keys = [
        window_of(
            meter, accepted.subjects.names[subject], distinct_groups[group], start_us, metered, known_groups
        )
        for subject, group, start_us in zip(
            subject_codes[first_rows].tolist(),
            group_codes[first_rows].tolist(),
            starts_us[first_rows].tolist(),
            strict=True,
        )
    ]
    key_codes, distinct_keys = coded(keys)
    if len(distinct_keys) < len(keys):  # several groups share `other`
        lengths = windows.ends - windows.starts
        merged = np.empty(len(rows), dtype=np.int64)
        merged[np.concatenate(list(map(np.asarray, windows)))] = np.repeat(key_codes, lengths)
        windows = segments(merged)
    points = Points(values, accepted.times_us[rows], offsets)
    metered.increments.update(
        zip(distinct_keys, increments_of(meter.aggregation, points, windows), strict=True)
    )


def window_of(
    meter: Meter,
    subject: str,
    groups: GroupValues,
    start_us: int,
    metered: Metered,
    known_groups: GroupSets,
    *,
    adds: bool = True,
) -> WindowKey:
    """The window's row, or the `other` row once the subject has used up the limit in this window.

    With `adds` the groups are in the window's set from here on, if the set has room for them.
    """
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
        if adds:
            metered.groups_added[key] = seen | {groups}
    return WindowKey(meter.meter_version_id, subject, groups, start_us)
