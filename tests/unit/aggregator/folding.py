"""Folding a log as a worker does: cut anywhere, one batch in flight, a store asked, restarts between."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from hypothesis import strategies as st
from oracle.logs import KafkaRecord, catalog

from aggregator.batch import Batch
from aggregator.catalog import Catalog
from aggregator.fold import fold
from aggregator.groups import GroupKey
from aggregator.reading import read
from aggregator.state import Claimed, Needs, PartitionState, live_since_hour, opened, settled, supplied

CATALOG = catalog()


class SmallStore:
    """What batches have written so far, as the store would give it to a claim or to a fold that asks."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def reopened(self, state: PartitionState) -> PartitionState:
        """The state as a worker finds it that starts now."""
        if not self.batches:
            return opened(state.rules, Claimed(state.partition, 0, None, None, None), b"", {})
        last = self.batches[-1]
        since_hour = live_since_hour(state.rules, last.frontier_us)
        entries = [ids for batch in self.batches for hour, ids in batch.ids.items() if hour >= since_hour]
        claimed = Claimed(state.partition, last.next_offset, last.frontier_us, last.newest_time_us, last.last)
        return replace(opened(state.rules, claimed, b"".join(entries), {}), foretold=state.foretold)

    def answer(self, state: PartitionState, needs: Needs) -> PartitionState:
        archive = {
            hour: b"".join(batch.ids.get(hour, b"") for batch in self.batches) for hour in needs.archive_hours
        }
        keys = [
            key
            for batch in self.batches
            for key in [*batch.increments, *(late.key for late in batch.adjustments if late.kind == "late")]
            if key.groups is not None
        ]
        groups = {
            wanted: frozenset(
                key.groups
                for key in keys
                if GroupKey(key.meter_version_id, key.subject, key.window_start_us) == wanted
            )
            for wanted in needs.group_keys
        }
        return supplied(state, archive, groups)


class Cut(NamedTuple):
    """Where a batch ends, and what happens there."""

    offset: int
    is_ahead: bool = False  # the next batch is folded before this one is committed
    is_restart: bool = False  # the worker starts again after this one


CUTS = st.lists(st.builds(Cut, st.integers(1, 40), st.booleans(), st.booleans()), max_size=10)


def fold_all(
    records: Sequence[KafkaRecord],
    cuts: Iterable[Cut],
    state: PartitionState,
    meters: Catalog = CATALOG,
) -> list[Batch]:
    """Fold a log as a worker does: one batch in flight, settling after commits, starting anew at times."""
    store = SmallStore()
    flight: Batch | None = None
    end = records[-1].offset + 1 if records else 0
    start = state.next_offset
    inside = sorted({cut.offset: cut for cut in cuts if start < cut.offset < end}.values())
    edges = [Cut(start), *inside, Cut(end)] if end > start else []
    for before, cut in pairwise(edges):
        part = [record for record in records if before.offset <= record.offset < cut.offset]
        reading = read(state.partition, before.offset, cut.offset, part)
        if flight is not None and not before.is_ahead:
            state, flight = commit(store, flight, state, meters), None
            if before.is_restart:
                state = store.reopened(state)
        result = fold(reading, state, meters)
        while isinstance(result, Needs):
            if flight is not None:
                state, flight = commit(store, flight, state, meters), None
            state = store.answer(state, result)
            result = fold(reading, state, meters)
        assert fold(reading, state, meters) == result  # the state before it is untouched
        state = result.next_state
        if flight is not None:
            state = commit(store, flight, state, meters)
        flight = result
    if flight is not None:
        commit(store, flight, state, meters)
    return store.batches


def commit(store: SmallStore, batch: Batch, newest: PartitionState, meters: Catalog) -> PartitionState:
    store.batches.append(batch)
    return settled(newest, batch.next_state, meters.windows_us)
