"""Refusals that are alike, with what has become of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from aggregator.rating.refused import AtRisk
from aggregator.store.quarantine import WAITING, Group, State


@dataclass(slots=True)
class Refusals:
    """Refusals of one code, source and meter."""

    code: str
    source: str | None
    meter: str | None
    oldest_us: int
    newest_us: int
    at_risk: AtRisk | None = None  # of what waits
    states: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))

    @property
    def waiting(self) -> int:
        """How many wait for somebody to decide."""
        return sum(self.states[state] for state in WAITING)

    @property
    def ended(self) -> int:
        """How many are counted, were counted already, or are given up."""
        return sum(self.states[state] for state in (State.COUNTED, State.DUPLICATE, State.DISCARDED))


def alike(groups: Iterable[Group]) -> list[Refusals]:
    """One for each code, source and meter, whatever has become of them."""
    found: dict[tuple[str, str | None, str | None], Refusals] = {}
    for group in groups:
        key = group.code, group.source, group.meter
        one = found.setdefault(key, Refusals(*key, group.oldest_us, group.newest_us))
        one.states[group.state] += group.records
        one.oldest_us = min(one.oldest_us, group.oldest_us)
        one.newest_us = max(one.newest_us, group.newest_us)
    return list(found.values())
