"""Ranges that join, and what they say was kept: against plain loops over offsets."""

from collections import Counter
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aggregator.batch import Outcomes
from aggregator.health.finding import Finding, Kind
from aggregator.health.ledger import Batch, breaks, miscounted, unkept

PARTITION = 3


def batch(first_offset: int, next_offset: int) -> Batch:
    outcomes = dict.fromkeys(Outcomes._fields, 0) | {"accepted": next_offset - first_offset}
    return Batch(first_offset, next_offset, outcomes)


@given(st.sets(st.integers(0, 40), min_size=2, max_size=12), st.data())
def test_every_offset_that_no_batch_has_is_told(bounds: set[int], data: st.DataObject) -> None:
    """Of a ledger that joins, some rows are taken away: just their offsets are missing."""
    whole = [batch(first, following) for first, following in pairwise(sorted(bounds))]
    kept = [one for one in whole if data.draw(st.booleans())]
    begins, ends = whole[0].first_offset, whole[-1].next_offset
    covered = {offset for one in kept for offset in range(one.first_offset, one.next_offset)}
    found = list(breaks(PARTITION, begins, kept, ends))
    told = [offset for one in found for offset in range(one.expected, one.found)]
    assert told == [offset for offset in range(begins, ends) if offset not in covered]
    assert {one.kind for one in found} <= {Kind.LEDGER}
    if kept:  # of a ledger that goes on, nothing is said behind its last row
        assert all(one.found <= kept[-1].first_offset for one in breaks(PARTITION, begins, kept, None))


def test_what_is_wrong_has_the_same_name_from_wherever_one_looks() -> None:
    rows = [batch(0, 5), batch(5, 9), batch(12, 20), batch(20, 21)]
    (found,) = breaks(PARTITION, 0, rows, 21)
    (again,) = breaks(PARTITION, found.place["from"], rows[1:], None)
    assert again.identity == found.identity
    (twice,) = breaks(PARTITION, 0, [batch(0, 5), batch(3, 9)], 9)
    assert (twice.expected, twice.found) == (5, 3)


KEYS = st.tuples(st.sampled_from([0, 5, 9]), st.integers(0, 2), st.sampled_from(["late", "void", "refused"]))
ROWS = st.dictionaries(KEYS, st.tuples(st.integers(1, 3), st.integers(-2, 2).map(Decimal)), max_size=6)


@given(ROWS, ROWS)
def test_what_was_kept_is_what_was_said(
    said: dict[tuple[int, int, str], tuple[int, Decimal]],
    kept: dict[tuple[int, int, str], tuple[int, Decimal]],
) -> None:
    """Of batches that are there; what lies in a hole of the ledger is told as a hole."""
    batches = [batch(0, 5), batch(5, 9)]
    found = {
        (one.place["from"], one.place["meter_version_id"], one.place["rows"]): one
        for one in unkept(PARTITION, batches, said, kept)
    }
    nothing = (0, Decimal(0))
    differing = {key for key in {*said, *kept} if said.get(key, nothing) != kept.get(key, nothing)}
    assert set(found) == {key for key in differing if key[0] != 9}
    for key, one in found.items():
        rows, value = said.get(key, nothing)
        assert one.expected == {"rows": rows, "sum": str(value)}


def test_counters_are_the_sums() -> None:
    counters = {"accepted": 3, "gap": 1, "tick": 0}
    assert not list(miscounted(PARTITION, counters, Counter(accepted=3, gap=1)))
    found = list(miscounted(PARTITION, counters, Counter(accepted=2, gap=1, tick=1)))
    assert [(one.place["outcome"], one.expected, one.found) for one in found] == [
        ("accepted", 2, 3),
        ("tick", 1, 0),
    ]


def test_a_finding_comes_back_as_it_was() -> None:
    one = Finding(Kind.LOG, "It was cut.", {"partition": 1, "end": "last"}, 5, None)
    again = Finding.of(one.document())
    assert again == one
    assert again.identity == Finding.of({**one.document(), "expected": 6}).identity
