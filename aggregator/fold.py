"""The heart: what a stretch of one partition's log comes to, as one pure function."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import localcontext
from functools import lru_cache
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from aggregator.admission import Admission, Candidates, Refused, admit
from aggregator.batch import Batch, Outcomes
from aggregator.catalog import Catalog
from aggregator.clock import frontiers_us
from aggregator.columns import coded
from aggregator.dedupe import Queries, Verdict, deduplicate, hours_to_load
from aggregator.identity import VOIDS, Identifier, columns, record_hash
from aggregator.memory import I64, Run, order_of, packed
from aggregator.reading import Reading
from aggregator.refusals import quarantined
from aggregator.state import ArchivedHour, LastRecord, Needs, PartitionState, TopicRules, live_since_hour
from aggregator.windows import Accepted, Metered, Subjects, meter_events, tallies
from aggregator.withdrawal import Voids, deduplicate_with_voids, withdraw
from schemas.codes import Code
from schemas.number import EXACT
from schemas.partitioner import PARTITIONERS
from schemas.repair import RepairOrigin
from schemas.wire import Event

Flags = NDArray[np.bool_]
NewIds = Mapping[int, Run]  # event hour -> the entries accepted in it

_CACHED_SUBJECTS: Final = 200_000


def fold(
    reading: Reading,
    state: PartitionState,
    catalog: Catalog,
    rejected: frozenset[int] = frozenset(),
) -> Batch | Needs:
    """Decide every effect of a stretch of the log; read nothing, write nothing, know no clock but the log's.

    Each record gets exactly one outcome, each accepted event exactly one outcome per meter that matches it.
    How the log is cut into readings changes no effect but the cut itself.

    Args:
        reading: decoded records, from exactly where the state ends.
        state: of the partition before them.
        catalog: the meters in force.
        rejected: offsets of records whose values the database has refused.

    Returns:
        The batch to write, with the state after it; or what must be loaded into the state first.

    Raises:
        ValueError: the reading does not continue the state.
    """
    if (reading.partition, reading.first_offset) != (state.partition, state.next_offset):
        given = f"{reading.partition}@{reading.first_offset}"
        msg = f"a fold of {state.partition}@{state.next_offset} was given {given}"
        raise ValueError(msg)
    with localcontext(EXACT):
        frontiers = frontiers_us(reading, state)
        admission = admit(
            reading, frontiers, state.rules, _partition_of(state.rules), rejected, state.foretold
        )
        candidates = admission.candidates
        identifier = _identifier(state.rules.identity_key)
        is_void = _is_void(candidates)
        queries, sources = _queries(reading, candidates, is_void, identifier)
        missing_hours = hours_to_load(queries, state.archive)
        if missing_hours:
            return Needs(missing_hours, frozenset())
        if is_void is None:
            verdicts = deduplicate(queries, state.memory, state.archive)
            is_accepted = verdicts == Verdict.ACCEPTED
            metered = meter_events(
                _accepted(reading, candidates, is_accepted, frontiers), catalog, state.groups
            )
        else:
            voids = _voids(reading, candidates, is_void, identifier)
            verdicts = deduplicate_with_voids(queries, voids, state.memory, state.archive)
            is_accepted = verdicts == Verdict.ACCEPTED
            counted = _accepted(reading, candidates, is_accepted & ~is_void, frontiers)
            metered = meter_events(counted, catalog, state.groups)
            withdrawn = _accepted(reading, candidates, is_accepted & is_void, frontiers)
            withdraw(withdrawn, catalog, state.groups, metered)
        if metered.groups_needed:
            return Needs(frozenset(), frozenset(metered.groups_needed))
        return _batch(reading, state, catalog, admission, queries, sources, verdicts, metered, frontiers)


@lru_cache(maxsize=4)
def _identifier(key: bytes) -> Identifier:
    return Identifier(key)


@lru_cache(maxsize=4)
def _partition_of(rules: TopicRules) -> Callable[[str], int]:
    partition = PARTITIONERS[rules.partitioner]
    return lru_cache(_CACHED_SUBJECTS)(lambda subject: partition(subject.encode(), rules.partitions))


def _is_void(candidates: Candidates) -> Flags | None:
    """Which candidates withdraw an event; None in the common case that none does."""
    if not candidates.void_places:
        return None
    is_void = np.isin(candidates.places, candidates.void_places)
    return is_void if is_void.any() else None


def _queries(
    reading: Reading, candidates: Candidates, is_void: Flags | None, identifier: Identifier
) -> tuple[Queries, list[str]]:
    """Who the candidates are, and the sources that they have."""
    events = _events(reading, candidates.places)
    is_repair = np.zeros(len(events), dtype=bool)
    domains: dict[int, int] = {}
    if candidates.repairs:
        for row, place in enumerate(candidates.places):
            repair = candidates.repairs.get(place)
            if repair is not None:
                is_repair[row] = True
                if repair.meter_version_id is not None:
                    domains[row] = repair.meter_version_id
    if is_void is not None:
        domains |= {row: VOIDS + domains.get(row, 0) for row in np.flatnonzero(is_void).tolist()}
    identities = identifier.identities(events, domains)
    high, low = columns(identities, identifier.digests(events), candidates.times_us, candidates.hours)
    queries = Queries(high, low, candidates.hours, candidates.since_hours, is_repair)
    return queries, identities.sources


def _voids(reading: Reading, candidates: Candidates, is_void: Flags, identifier: Identifier) -> Voids:
    """The voids among the candidates, with the identities of the events that they name."""
    rows = np.flatnonzero(is_void)
    events = _events(reading, [candidates.places[row] for row in rows.tolist()])
    domains = {
        row: event.repair.meter_version_id
        for row, event in enumerate(events)
        if event.repair is not None and event.repair.meter_version_id is not None
    }
    high, low = columns(
        identifier.identities(events, domains),
        identifier.digests(events),
        candidates.times_us[rows],
        candidates.hours[rows],
    )
    return Voids(rows, high, low)


def _accepted(reading: Reading, candidates: Candidates, is_accepted: Flags, frontiers: I64) -> Accepted:
    places = np.array(candidates.places, dtype=np.int64)[is_accepted]
    events = _events(reading, places.tolist())
    repaired_for = {
        row: event.repair.meter_version_id
        for row, event in enumerate(events if candidates.repairs else ())
        if event.repair is not None and event.repair.meter_version_id is not None
    }
    return Accepted(
        events=events,
        subjects=Subjects(*coded([event.subject for event in events])),
        repaired_for=repaired_for,
        places=places,
        offsets=reading.offsets[places],
        times_us=candidates.times_us[is_accepted],
        frontiers_us=frontiers[places],
    )


def _events(reading: Reading, places: list[int]) -> list[Event]:
    if len(places) == len(reading.events):
        return cast("list[Event]", reading.events)
    return cast("list[Event]", [reading.events[place] for place in places])  # refusals are never candidates


def _batch(
    reading: Reading,
    state: PartitionState,
    catalog: Catalog,
    admission: Admission,
    queries: Queries,
    sources: list[str],
    verdicts: NDArray[np.int8],
    metered: Metered,
    frontiers: I64,
) -> Batch:
    is_accepted = verdicts == Verdict.ACCEPTED
    conflicts = np.flatnonzero(verdicts == Verdict.CONFLICT)
    refused = admission.refused + _refused_voids(admission.candidates, verdicts)
    ids = _ids_by_hour(queries, is_accepted)
    after = _state_after(reading, state, admission.candidates.times_us[is_accepted], ids, metered, frontiers)
    outcomes = Outcomes(
        accepted=int(is_accepted.sum()),
        duplicate=int((verdicts == Verdict.DUPLICATE).sum()),
        conflict=len(conflicts),
        quarantined=len(refused),
        tick=admission.ticks,
        gap=reading.next_offset - reading.first_offset - len(reading.records),
    )
    return Batch(
        partition=reading.partition,
        first_offset=reading.first_offset,
        next_offset=reading.next_offset,
        frontier_us=after.frontier_us,
        newest_time_us=after.newest_time_us,
        last=after.last,
        catalog_head=catalog.head,
        outcomes=outcomes,
        unmetered=metered.unmetered,
        late_by_pipeline=metered.late_by_pipeline,
        meters=tallies(metered, catalog),
        ids={hour: packed(run.high, run.low) for hour, run in ids.items()},
        increments=metered.increments,
        adjustments=metered.adjustments,
        repairs=_repairs(reading, admission.candidates, is_accepted),
        sources=sources,
        quarantined=quarantined(
            reading,
            refused,
            [admission.candidates.places[row] for row in conflicts.tolist()],
            metered.errors,
        ),
        next_state=after,
    )


def _refused_voids(candidates: Candidates, verdicts: NDArray[np.int8]) -> list[Refused]:
    if not candidates.void_places:
        return []
    unmatched = (Code.VOID_UNMATCHED, "no event of this source and id is counted here")
    differs = (Code.VOID_DIFFERS, "an event of this source and id is counted, but with other content")
    return [
        Refused(candidates.places[row], *(unmatched if verdicts[row] == Verdict.UNMATCHED else differs))
        for row in np.flatnonzero(verdicts >= Verdict.UNMATCHED).tolist()
    ]


def _repairs(reading: Reading, candidates: Candidates, is_accepted: Flags) -> list[tuple[int, RepairOrigin]]:
    if not candidates.repairs:
        return []
    accepted = np.array(candidates.places, dtype=np.int64)[is_accepted].tolist()
    return [
        (reading.records[place].offset, candidates.repairs[place])
        for place in accepted
        if place in candidates.repairs
    ]


def _ids_by_hour(queries: Queries, is_accepted: Flags) -> NewIds:
    by_hour = {}
    for hour in np.unique(queries.hours[is_accepted]).tolist():
        rows = np.flatnonzero(is_accepted & (queries.hours == hour))
        rows = rows[order_of(queries.high[rows])]
        by_hour[hour] = Run(queries.high[rows], queries.low[rows], hour, hour)
    return by_hour


def _state_after(
    reading: Reading,
    state: PartitionState,
    accepted_times_us: I64,
    ids: NewIds,
    metered: Metered,
    frontiers: I64,
) -> PartitionState:
    frontier_us = int(frontiers[-1]) if len(frontiers) else state.frontier_us
    since_hour = live_since_hour(state.rules, frontier_us)
    memory = state.memory
    archive = dict(state.archive)
    for hour, run in ids.items():
        memory = memory.with_run(run, since_hour)
        if hour in archive:
            archive[hour] = ArchivedHour(archive[hour].memory.with_run(run, hour), reading.next_offset)
    newest_times_us = [] if state.newest_time_us is None else [state.newest_time_us]
    if len(accepted_times_us):
        newest_times_us.append(int(accepted_times_us.max()))
    return replace(
        state,
        next_offset=reading.next_offset,
        frontier_us=frontier_us,
        newest_time_us=max(newest_times_us, default=None),
        last=_last(reading) or state.last,
        memory=memory,
        archive=archive,
        groups=state.groups.with_batch(reading.next_offset, metered.groups_added),
    )


def _last(reading: Reading) -> LastRecord | None:
    if not reading.records:
        return None
    record = reading.records[-1]
    return LastRecord(record.offset, record.timestamp * 1000, record_hash(record))
