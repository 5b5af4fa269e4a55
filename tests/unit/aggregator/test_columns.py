"""Rows grouped and ordered by columns, against plain loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aggregator.columns import segments
from aggregator.memory import order_of

CODES = st.one_of(
    st.integers(0, 5),
    st.integers(0, 2**31),
    st.integers(2**62, 2**63 - 1),  # too large for a row beside them
    st.integers(-3, 3),
)


@given(st.lists(CODES, max_size=50))
def test_rows_of_one_code_stand_together_in_their_order(codes: list[int]) -> None:
    groups: dict[int, list[int]] = {}
    for row, code in enumerate(codes):
        groups.setdefault(code, []).append(row)
    found = segments(np.array(codes, dtype=np.int64))
    assert list(found) == list(groups.values())


@given(st.lists(st.one_of(st.integers(0, 4), st.integers(0, 2**64 - 1)), max_size=50))
def test_rows_are_ordered_by_key_and_equal_ones_keep_their_order(keys: list[int]) -> None:
    ordered = sorted(range(len(keys)), key=keys.__getitem__)
    assert order_of(np.array(keys, dtype=np.uint64)).tolist() == ordered
