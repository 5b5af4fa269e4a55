"""The soak's oracle: what must have been counted in the end, known from what was sent and nothing else.

It adds up while events are sent, so it needs as much memory as there are windows, however long the soak.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, NamedTuple

CATALOG: Final = """\
meters:
  - {name: tokens, event_type: llm.completion, aggregation: sum, value: tokens, group_by: [model],
     window: 1m, grace: 0s}
  - {name: requests, event_type: llm.completion, aggregation: count, window: 1h, grace: 1h}
  - {name: largest, event_type: llm.completion, aggregation: max, value: tokens, window: 5m, grace: 15m}
  - {name: models, event_type: llm.completion, aggregation: unique, value: model, window: 1d, grace: 1h}
"""
COMPLETION: Final = "llm.completion"
MINUTE_US: Final = 60_000_000
WINDOWS_US: Final[Mapping[str, int]] = {
    "tokens": MINUTE_US,
    "requests": 60 * MINUTE_US,
    "largest": 5 * MINUTE_US,
    "models": 24 * 60 * MINUTE_US,
}


class Event(NamedTuple):
    """A usage event as a product service speaks of it."""

    id: str
    type: str
    subject: str
    time_us: int
    data: Mapping[str, Any]


class WindowName(NamedTuple):
    """A line of `metering totals --by-window`."""

    meter: str
    subject: str
    model: str | None  # for `tokens`, which is grouped by it
    start_us: int


@dataclass(slots=True)
class Expectation:
    """Outcomes of records, codes of those in quarantine, and every window's value."""

    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    sums: dict[WindowName, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    members: dict[WindowName, set[str]] = field(default_factory=lambda: defaultdict(set))

    def counted(self, event: Event) -> None:
        """An event that was never sent before, and must be counted once."""
        self.outcomes["accepted"] += 1
        if event.type != COMPLETION:
            return
        self.sums[_name("requests", event)] += 1
        model, tokens = event.data["model"], event.data.get("tokens")
        self.members[_name("models", event)].add(model)
        if tokens is None:
            self.codes["value_missing"] += 2  # the two meters that add it up
            return
        value = Fraction(str(tokens))
        self.sums[_name("tokens", event, model)] += value
        largest = _name("largest", event)
        self.sums[largest] = max(value, self.sums.get(largest, value))

    def withdrawn(self, event: Event) -> None:
        """A void of an event that was counted and not withdrawn before; two meters cannot subtract."""
        self.outcomes["accepted"] += 1
        if event.type != COMPLETION:
            return
        self.sums[_name("requests", event)] -= 1
        model, tokens = event.data["model"], event.data.get("tokens")
        self.codes["void_not_subtractable"] += 1 if tokens is None else 2
        if tokens is None:
            self.codes["value_missing"] += 2
        else:
            self.sums[_name("tokens", event, model)] -= Fraction(str(tokens))

    def refused(self, code: str) -> None:
        """A record that must go to quarantine."""
        self.codes[code] += 1
        self.outcomes["conflict" if code == "conflict" else "quarantined"] += 1

    def repeated(self) -> None:
        """A copy of an event, or another void of one, that was sent before."""
        self.outcomes["duplicate"] += 1

    def windows(self) -> Iterator[tuple[WindowName, Fraction]]:
        """Every window and its value."""
        yield from self.sums.items()
        for name, members in self.members.items():
            yield name, Fraction(len(members))


def _name(meter: str, event: Event, model: str | None = None) -> WindowName:
    return WindowName(meter, event.subject, model, event.time_us // WINDOWS_US[meter] * WINDOWS_US[meter])
