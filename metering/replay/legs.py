"""How far a partition is counted before an operator's decision is repeated."""

from collections.abc import Iterable
from typing import NamedTuple

from aggregator.store.replay import Skip


class Leg(NamedTuple):
    """Count up to `until`; there, give up what `skip` gave up, if anything."""

    until: int
    skip: Skip | None


def legs(next_offset: int, skips: Iterable[Skip]) -> list[Leg]:
    """The way of one partition to `next_offset`, past its skips, in the order of offsets."""
    stops = [Leg(skip.first_offset, skip) for skip in sorted(skips, key=lambda skip: skip.first_offset)]
    return [*stops, Leg(next_offset, None)]


def reads(first_offset: int, way: Iterable[Leg]) -> list[range]:
    """The offsets that the log must still have for this way, from `first_offset` on."""
    ranges = []
    for leg in way:
        ranges.append(range(first_offset, leg.until))
        first_offset = leg.until if leg.skip is None else leg.skip.next_offset
    return [wanted for wanted in ranges if wanted]
