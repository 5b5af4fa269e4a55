"""What a replay of the log from an instant on must have read, so that all it compares is exact.

An event of time t is admitted only if `t <= F(o) + skew`, so all of a window that starts at `since` or later
lies where the frontier has come to `since - skew`. What is remembered there lies at earlier offsets, and is
read first. The offsets themselves are found in the ledger, which keeps the frontier of each batch.
"""

from collections.abc import Iterable
from typing import NamedTuple

from aggregator.catalog import StoredVersion
from aggregator.promotion import timelines
from aggregator.state import TopicRules, live_since_hour
from schemas.catalog import Meter
from schemas.instant import HOUR_US


class Boundary(NamedTuple):
    """Between two batches of a partition: the next offset, and the frontier there (None: no record yet)."""

    offset: int
    frontier_us: int | None


class Unaligned(NamedTuple):
    """A meter with a window that an instant would cut."""

    meter: str
    window: str


def usage_from_us(rules: TopicRules, since_us: int) -> int:
    """The frontier before which no event of `since_us` or later is admitted."""
    return since_us - rules.skew_us


def memory_from_us(rules: TopicRules, frontier_us: int) -> int:
    """All that is remembered from a frontier on was appended when the frontier had come to this, or later."""
    return live_since_hour(rules, frontier_us) * HOUR_US - rules.skew_us


def knows_from_us(rules: TopicRules, lost_before_us: int) -> int:
    """The least frontier at which all that is remembered was appended after the frontier `lost_before_us`."""
    hour = (lost_before_us + rules.skew_us) // HOUR_US + 1
    return hour * HOUR_US + rules.acceptance_window_us


def earliest_since_us(rules: TopicRules, known_us: int, versions: Iterable[StoredVersion]) -> int:
    """The first instant on the boundaries of all windows that a range can begin at.

    Args:
        rules: of the topic.
        known_us: the frontier of a boundary of the ledger from which on all that is remembered can be read.
        versions: of meters; each window length divides those that are longer.
    """
    after_us = known_us + rules.skew_us
    longest_us = max((Meter.from_definition(one.definition).window_us for one in versions), default=1)
    return (after_us // longest_us + 1) * longest_us


def unaligned(versions: Iterable[StoredVersion], since_us: int) -> list[Unaligned]:
    """The meters in force at an instant that is no boundary of their windows."""
    found = []
    for meter, timeline in timelines(versions).items():
        version = timeline.at(since_us)
        if version is not None:
            terms = Meter.from_definition(version.definition)
            if since_us % terms.window_us:
                found.append(Unaligned(meter, str(terms.window)))
    return found
