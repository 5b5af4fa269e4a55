"""The packed memory against a dict with a row per id."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aggregator.memory import Memory, packed, remembered, run_of, unpacked

IDENTITY = st.tuples(
    st.sampled_from([0, 1, 7, 2**64 - 1]) | st.integers(0, 2**64 - 1),
    st.sampled_from([0, 1, 2**32 - 1]),  # few, so that different identities share the first 64 bits
)


def _low(rest: int, digest: int, hour: int) -> int:
    return rest << 32 | digest << 8 | hour & 0xFF


@st.composite
def _batches(draw: st.DrawFn) -> list[tuple[int, dict[tuple[int, int], tuple[int, int]]]]:
    """Batches of entries, each with the hour since which ids are remembered after it; hours only grow."""
    since = draw(st.integers(0, 1_000_000))
    batches = []
    for _ in range(draw(st.integers(1, 8))):
        since += draw(st.sampled_from([0, 0, 1, 5, 60, 300, 100_000]))
        entries = draw(
            st.dictionaries(
                IDENTITY, st.tuples(st.integers(0, 2**24 - 1), st.integers(since, since + 50)), max_size=12
            )
        )
        batches.append((since, entries))
    return batches


@given(_batches(), st.lists(IDENTITY, max_size=12))
def test_it_finds_what_a_row_per_id_finds(
    batches: list[tuple[int, dict[tuple[int, int], tuple[int, int]]]], others: list[tuple[int, int]]
) -> None:
    memory = Memory()
    rows: dict[tuple[int, int], tuple[int, int]] = {}
    for since, entries in batches:
        # A forgotten identity may come again, as a fold would let it: the newest row is the one that counts.
        fresh = {
            identity: row
            for identity, row in entries.items()
            if identity not in rows or rows[identity][1] < since
        }
        if fresh:
            high = np.array([high for high, _ in fresh], dtype=np.uint64)
            low = np.array(
                [_low(rest, digest, hour) for (_, rest), (digest, hour) in fresh.items()], dtype=np.uint64
            )
            hours = [hour for _, hour in fresh.values()]
            memory = memory.with_run(run_of(high, low, min(hours), max(hours)), since)
        rows |= fresh

        asked = sorted({*rows, *others})
        found, is_found = memory.find(
            np.array([high for high, _ in asked], dtype=np.uint64),
            np.array([_low(rest, 0, 0) for _, rest in asked], dtype=np.uint64),
            np.full(len(asked), since, dtype=np.int64),
        )
        for identity, entry, hit in zip(asked, found.tolist(), is_found.tolist(), strict=True):
            expected = rows.get(identity)
            if expected is None or expected[1] < since:
                assert not hit
            else:
                assert hit
                assert entry == _low(identity[1], *expected)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))))
def test_packed_entries_are_sixteen_bytes_and_come_back(entries: list[tuple[int, int]]) -> None:
    high = np.array([high for high, _ in entries], dtype=np.uint64)
    low = np.array([low for _, low in entries], dtype=np.uint64)

    stored = packed(high, low)

    assert len(stored) == 16 * len(entries)
    assert stored[:8] == (entries[0][0].to_bytes(8, "big") if entries else b"")
    back = unpacked(stored)
    assert back[0].tolist() == high.tolist()
    assert back[1].tolist() == low.tolist()


def test_a_lookup_searches_few_runs_however_many_batches_there_were() -> None:
    memory = Memory()
    random = np.random.default_rng(7)
    for _ in range(200):
        high = random.integers(0, 2**63, 50, dtype=np.uint64)
        memory = memory.with_run(run_of(high, np.zeros(50, dtype=np.uint64), 0, 0), 0)

    assert len(memory) == 200 * 50
    assert len(memory.runs) <= 8
    assert memory.size_bytes == 16 * len(memory)


def test_what_is_reloaded_is_what_was_remembered() -> None:
    random = np.random.default_rng(7)
    high = random.integers(0, 2**63, 1000, dtype=np.uint64)
    hours = random.integers(400_000, 400_050, 1000)
    low = np.array([_low(5, 9, int(hour)) for hour in hours], dtype=np.uint64)

    memory = remembered(packed(high, low), 399_990)

    order = np.sort(high)
    _, all_found = memory.find(order, np.full(1000, _low(5, 0, 0), np.uint64), np.full(1000, 399_990))
    _, late_found = memory.find(order, np.full(1000, _low(5, 0, 0), np.uint64), np.full(1000, 400_025))
    assert all_found.all()
    assert late_found.sum() == (hours >= 400_025).sum()
