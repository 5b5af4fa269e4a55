"""A stretch of a partition's ledger: whether its ranges join, and what batches say was kept is there."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from aggregator.health.finding import Finding, Kind
from schemas.number import plain_text

Kept = Mapping[tuple[int, int, str], tuple[int, Decimal]]
"""Rows and their sum, by first offset of a batch, meter version and kind: late, void, error or refused."""

_NOTHING: Final = (0, Decimal(0))


class Batch(NamedTuple):
    """A row of the ledger."""

    first_offset: int
    next_offset: int
    outcomes: Mapping[str, int]

    @property
    def records(self) -> int:
        """Offsets that have a record in the log, and were read."""
        return self.next_offset - self.first_offset - self.outcomes["gap"] - self.outcomes["lost"]


def breaks(partition: int, begins: int, batches: Sequence[Batch], ends: int | None) -> Iterator[Finding]:
    """Where the ledger does not join.

    Args:
        partition: whose it is.
        begins: offset that the first of these batches must begin at.
        batches: rows of the ledger, in order.
        ends: offset up to which they must reach; None: there are more.
    """
    after, expected = begins, begins
    for batch in batches:
        if batch.first_offset != expected:
            yield _break(partition, after, expected, batch.first_offset)
        after, expected = batch.first_offset, batch.next_offset
    if ends is not None and expected != ends:
        yield _break(partition, after, expected, ends)


def _break(partition: int, after: int, expected: int, found: int) -> Finding:
    return Finding(
        Kind.LEDGER,
        "The ledger's ranges do not join: offsets are accounted for twice or not at all.",
        {"partition": partition, "from": after, "offset": expected},
        expected,
        found,
    )


def unkept(partition: int, batches: Sequence[Batch], said: Kept, kept: Kept) -> Iterator[Finding]:
    """What batches say stands beside windows or in quarantine, and is not there; or the other way round."""
    ends = {batch.first_offset: batch.next_offset for batch in batches}
    for first_offset, meter_version_id, kind in sorted({*said, *kept}):
        key = first_offset, meter_version_id, kind
        expected, found = said.get(key, _NOTHING), kept.get(key, _NOTHING)
        if expected != found and first_offset in ends:
            yield Finding(
                Kind.CONSERVATION,
                "What a batch says was kept is not what is there.",
                {
                    "partition": partition,
                    "from": first_offset,
                    "next_offset": ends[first_offset],
                    "meter_version_id": meter_version_id,
                    "rows": kind,
                },
                _facts(expected),
                _facts(found),
            )


def _facts(rows: tuple[int, Decimal]) -> dict[str, object]:
    return {"rows": rows[0], "sum": plain_text(rows[1])}


def miscounted(partition: int, counters: Mapping[str, int], sums: Mapping[str, int]) -> Iterator[Finding]:
    """Outcomes of which a partition has counted other numbers than its ledger."""
    for outcome, counted in counters.items():
        if counted != sums.get(outcome, 0):
            yield Finding(
                Kind.CONSERVATION,
                "A partition's counter is not the sum of its ledger.",
                {"partition": partition, "outcome": outcome},
                sums.get(outcome, 0),
                counted,
            )
