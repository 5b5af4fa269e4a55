"""Accepted, duplicate or conflict: each identity is counted once while it is remembered.

An accepted id belongs to its event's hour h and is remembered at offset o iff `end(h) + W > F(o)`. A repair
record also sees every stored id of its own event's hour, remembered or not. Same identity and same digest is
a copy; same identity and another digest is a conflict. Since an admitted live event's own hour is always
remembered, a copy is either found here or not admitted at all.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aggregator.memory import I64, IDENTITY_LOW, U64, Memory, order_of
from aggregator.state import ArchivedHour

_DIGEST: Final = np.uint64(0xFFFFFF00)


class Verdict(IntEnum):
    """What dedupe says of a candidate; the last two of a void alone."""

    ACCEPTED = 0
    DUPLICATE = 1
    CONFLICT = 2
    UNMATCHED = 3
    DIFFERS = 4


class Queries(NamedTuple):
    """Candidates in log order, as columns of equal length."""

    high: U64
    low: U64
    hours: I64
    since_hours: I64
    is_repair: NDArray[np.bool_]

    def rows(self, chosen: NDArray[np.integer]) -> "Queries":
        """Some of them, in the order given."""
        return Queries(
            self.high[chosen],
            self.low[chosen],
            self.hours[chosen],
            self.since_hours[chosen],
            self.is_repair[chosen],
        )


class Known(NamedTuple):
    """An id that was accepted in this batch."""

    row: int
    low: int
    hour: int


def hours_to_load(queries: Queries, archive: Mapping[int, ArchivedHour]) -> frozenset[int]:
    """Hours of repairs older than the memory whose stored ids are not at hand."""
    hours = np.unique(queries.hours[_before_memory(queries)]).tolist()
    return frozenset(hour for hour in hours if hour not in archive)


def deduplicate(queries: Queries, memory: Memory, archive: Mapping[int, ArchivedHour]) -> NDArray[np.int8]:
    """A `Verdict` for each candidate.

    Args:
        queries: candidates in log order.
        memory: the ids remembered before them.
        archive: stored ids of the hours that `hours_to_load` named.
    """
    order = order_of(queries.high)
    rows = queries.rows(order)
    found, is_found = memory.find(rows.high, rows.low, rows.since_hours)
    verdicts = np.where(is_found, _compare(found, rows.low), np.int8(Verdict.ACCEPTED))
    old = np.flatnonzero(_before_memory(rows))
    archived: dict[int, int] = {}
    for row in old.tolist():
        entry = _find_archived(rows, row, archive)
        if entry is not None:
            archived[row] = entry
            verdicts[row] = _judge(int(rows.low[row]), _seen(row, found, is_found, archived))
    # Rows that share `high` may be the same identity several times in this batch: the first accepted counts.
    same_as_next = rows.high[1:] == rows.high[:-1]
    if same_as_next.any():
        _judge_repeats(rows, same_as_next, found, is_found, archived, verdicts)
    unsorted = np.empty_like(verdicts)
    unsorted[order] = verdicts
    return unsorted


def _before_memory(queries: Queries) -> NDArray[np.bool_]:
    return queries.is_repair & (queries.hours < queries.since_hours)


def _compare(found: U64, low: U64) -> NDArray[np.int8]:
    is_copy = (found ^ low) & _DIGEST == 0
    return np.where(is_copy, np.int8(Verdict.DUPLICATE), np.int8(Verdict.CONFLICT))


def _find_archived(rows: Queries, row: int, archive: Mapping[int, ArchivedHour]) -> int | None:
    one = slice(row, row + 1)
    entries, is_found = archive[int(rows.hours[row])].memory.find(
        rows.high[one], rows.low[one], rows.hours[one]
    )
    return int(entries[0]) if is_found[0] else None


def is_same(entry: int, low: int) -> bool:
    """Whether two entries of one identity are of the same content."""
    return (entry ^ low) & int(_DIGEST) == 0


def identity_of(high: int, low: int) -> tuple[int, int]:
    """What entries of one identity have in common."""
    return high, low & int(IDENTITY_LOW)


def stored(queries: Queries, memory: Memory, archive: Mapping[int, ArchivedHour]) -> list[list[int]]:
    """The stored entries that each query may see of its identity."""
    found, is_found = memory.find(queries.high, queries.low, queries.since_hours)
    archived = {
        row: entry
        for row in np.flatnonzero(_before_memory(queries)).tolist()
        if (entry := _find_archived(queries, row, archive)) is not None
    }
    return [_seen(row, found, is_found, archived) for row in range(len(queries.high))]


def visible(known: Sequence[Known], queries: Queries, row: int) -> list[int]:
    """Of the ids accepted in this batch before a row, the entries that it may see."""
    return [
        entry.low
        for entry in known
        if entry.row < row
        and (
            entry.hour >= queries.since_hours[row]
            or (queries.is_repair[row] and entry.hour == queries.hours[row])
        )
    ]


def _seen(row: int, found: U64, is_found: NDArray[np.bool_], archived: Mapping[int, int]) -> list[int]:
    entries = [int(found[row])] if is_found[row] else []
    if row in archived:
        entries.append(archived[row])
    return entries


def _judge(low: int, seen: list[int]) -> Verdict:
    if not seen:
        return Verdict.ACCEPTED
    if any(is_same(entry, low) for entry in seen):
        return Verdict.DUPLICATE
    return Verdict.CONFLICT


def _judge_repeats(
    rows: Queries,
    same_as_next: NDArray[np.bool_],
    found: U64,
    is_found: NDArray[np.bool_],
    archived: Mapping[int, int],
    verdicts: NDArray[np.int8],
) -> None:
    repeated = np.zeros(len(rows.high), dtype=bool)
    repeated[1:] |= same_as_next
    repeated[:-1] |= same_as_next
    accepted: dict[tuple[int, int], list[Known]] = {}
    for row in np.flatnonzero(repeated).tolist():  # in log order within one identity: the sort was stable
        low = int(rows.low[row])
        known = accepted.setdefault(identity_of(int(rows.high[row]), low), [])
        verdict = _judge(low, visible(known, rows, row) + _seen(row, found, is_found, archived))
        verdicts[row] = verdict
        if verdict is Verdict.ACCEPTED:
            known.append(Known(row, low, int(rows.hours[row])))
