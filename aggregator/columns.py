"""Columns of a batch and rows that belong together in them: what makes a fold quick is done here, once."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from aggregator.memory import I64

T = TypeVar("T", bound=Hashable)


class Segments(NamedTuple):
    """Rows grouped by code; within a group they keep their order.

    Group g has the rows `order[starts[g]:ends[g]]`; groups stand in the order of their first rows.
    """

    order: I64
    starts: I64
    ends: I64

    @property
    def first_rows(self) -> I64:
        """The first row of each group."""
        return self.order[self.starts]

    @property
    def last_rows(self) -> I64:
        """The last row of each group."""
        return self.order[self.ends - 1]

    def sums(self, cells: I64) -> I64:
        """The sum of each group's cells, which must not be too large for 64 bits."""
        by_place = np.argsort(self.starts)
        sums = np.empty(len(self.starts), dtype=np.int64)
        sums[by_place] = np.add.reduceat(cells[self.order], self.starts[by_place])
        return sums

    def __iter__(self) -> Iterator[list[int]]:  # type: ignore[override] # the groups are what it consists of
        rows = self.order.tolist()
        for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True):
            yield rows[start:end]


def coded(cells: Sequence[T]) -> tuple[I64, list[T]]:
    """A number for each distinct cell, in the order of their first appearance, and the distinct cells."""
    numbers: defaultdict[T, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    codes = np.fromiter(map(numbers.__getitem__, cells), dtype=np.int64, count=len(cells))
    return codes, list(numbers)


def _order(codes: I64) -> I64:
    """The rows by code, those of one code in the order in which they stand."""
    row_bits = len(codes).bit_length()
    if len(codes) and int(codes.min()) >= 0 and int(codes.max()) < 1 << (63 - row_bits):
        # Codes with their rows in one number are sorted many times quicker than by a stable sort.
        numbers = np.sort(codes << row_bits | np.arange(len(codes)))
        return numbers & ((1 << row_bits) - 1)
    return np.argsort(codes, kind="stable")


def segments(codes: I64) -> Segments:
    """The rows of each code."""
    order = _order(codes)
    ordered = codes[order]
    is_start = np.ones(len(ordered), dtype=bool)
    is_start[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(is_start)
    ends = np.append(starts[1:], len(ordered))
    by_first_row = np.argsort(order[starts])
    return Segments(order, starts[by_first_row], ends[by_first_row])
