"""Two sides that were set beside each other."""

from typing import NamedTuple

from aggregator.health.finding import Finding


class Check(NamedTuple):
    """What was compared; the finding is one unless the sides are equal."""

    finding: Finding
    is_equal: bool
