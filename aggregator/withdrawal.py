"""Voids: an event that was published by mistake is taken back once, and never more than was counted.

A void names its event and repeats what it said. It is accepted iff that event's identity is known where the
void stands in the log, with an equal digest, and no void of it was accepted before. So a void has an identity
of its own, derived from its event's and kept in the event's hour under the event's digest: remembered for as
long as the event itself, by the rules of `aggregator.dedupe`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aggregator.aggregation import Aggregation, Number, Value
from aggregator.batch import Adjustment
from aggregator.catalog import Catalog
from aggregator.dedupe import Known, Queries, Verdict, deduplicate, identity_of, is_same, stored, visible
from aggregator.groups import GroupSets
from aggregator.memory import I64, U64, Memory
from aggregator.meter import Meter, MeterRefused
from aggregator.state import ArchivedHour
from aggregator.windows import Accepted, Metered, MeterError, rows_by_meter, window_of
from schemas.codes import Code


class Voids(NamedTuple):
    """The voids among some queries, and the entries of the events that they name."""

    rows: I64  # in log order
    high: U64
    low: U64


def deduplicate_with_voids(
    queries: Queries, voids: Voids, memory: Memory, archive: Mapping[int, ArchivedHour]
) -> NDArray[np.int8]:
    """As `deduplicate`; of voids `queries` holds the derived identities.

    Events are judged first, for no void changes what is known of them.
    """
    is_event = np.ones(len(queries.high), dtype=bool)
    is_event[voids.rows] = False
    verdicts = np.empty(len(queries.high), dtype=np.int8)
    events = np.flatnonzero(is_event)
    verdicts[events] = deduplicate(queries.rows(events), memory, archive)
    counted = _accepted(queries, verdicts, events, voids)
    own = queries.rows(voids.rows)
    stored_voids = stored(own, memory, archive)
    stored_events = stored(own._replace(high=voids.high, low=voids.low), memory, archive)
    withdrawn: dict[tuple[int, int], list[Known]] = defaultdict(list)
    for place, row in enumerate(voids.rows.tolist()):
        low = int(voids.low[place])
        identity = identity_of(int(voids.high[place]), low)
        verdict = _judge(
            low,
            stored_voids[place] + visible(withdrawn[identity], queries, row),
            stored_events[place] + visible(counted[identity], queries, row),
        )
        verdicts[row] = verdict
        if verdict is Verdict.ACCEPTED:
            withdrawn[identity].append(Known(row, low, int(queries.hours[row])))
    return verdicts


def _accepted(
    queries: Queries, verdicts: NDArray[np.int8], events: I64, voids: Voids
) -> Mapping[tuple[int, int], list[Known]]:
    """The events accepted in this batch that a void of it may name."""
    named = events[np.isin(queries.high[events], voids.high)]
    accepted: dict[tuple[int, int], list[Known]] = defaultdict(list)
    for row in named[verdicts[named] == Verdict.ACCEPTED].tolist():
        low = int(queries.low[row])
        accepted[identity_of(int(queries.high[row]), low)].append(Known(row, low, int(queries.hours[row])))
    return accepted


def _judge(low: int, voids: Sequence[int], events: Sequence[int]) -> Verdict:
    if any(is_same(entry, low) for entry in voids):
        return Verdict.DUPLICATE
    if any(is_same(entry, low) for entry in events):
        return Verdict.ACCEPTED
    return Verdict.DIFFERS if events else Verdict.UNMATCHED


def withdraw(voids: Accepted, catalog: Catalog, known_groups: GroupSets, metered: Metered) -> None:
    """Take withdrawn events back from each meter that counted them: a row beside the window, for ever.

    A void may be metered after all other events of its batch: its event has put its groups into the window's
    set, or found the set full. So which series it went to does not change any more.
    """
    is_matched = np.zeros(len(voids.events), dtype=bool)
    for meter, rows in rows_by_meter(voids, catalog):
        is_matched[rows] = True
        _take_back(meter, voids.rows(rows), metered, known_groups)
    metered.adjustments.sort(key=lambda adjustment: (adjustment.offset, adjustment.key.meter_version_id))
    metered.unmetered += int((~is_matched).sum())


def _take_back(meter: Meter, voids: Accepted, metered: Metered, known_groups: GroupSets) -> None:
    values, groups, refused = meter.read(voids.events)
    columns = zip(voids.times_us.tolist(), voids.frontiers_us.tolist(), voids.offsets.tolist(), strict=True)
    for row, (time_us, frontier_us, offset) in enumerate(columns):
        reason = refused.get(row) or _not_subtractable(meter)
        if reason is not None:
            metered.errors.append(MeterError(int(voids.places[row]), meter.meter_version_id, reason))
            continue
        subject = voids.subjects.names[voids.subjects.codes[row]]
        start_us = time_us - time_us % meter.window_us
        key = window_of(meter, subject, groups.of(row), start_us, metered, known_groups, adds=False)
        value = _taken_back(meter.aggregation, values[row])
        metered.adjustments.append(Adjustment(offset, key, value, None, time_us, frontier_us, "void"))


def _not_subtractable(meter: Meter) -> MeterRefused | None:
    if meter.is_subtractable:
        return None
    return MeterRefused(
        Code.VOID_NOT_SUBTRACTABLE, f"{meter.name} aggregates by `{meter.aggregation}`, which only grows"
    )


def _taken_back(aggregation: Aggregation, value: Value) -> Number | None:
    match value:
        case None | str():
            return None
        case number:
            return -number if aggregation == "sum" else number
