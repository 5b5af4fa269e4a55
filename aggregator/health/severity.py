"""How bad something is that was found wrong."""

from collections.abc import Iterable
from enum import StrEnum


class Severity(StrEnum):
    """The least first."""

    INFO = "info"  # worth knowing; nothing is wrong
    WARNING = "warning"  # it will hurt, or hurts a little: look at it today
    CRITICAL = "critical"  # it hurts now, or what is counted may be wrong: look at it now

    @property
    def badness(self) -> int:
        """Greater is worse."""
        return list(Severity).index(self)


def worst(severities: Iterable[Severity]) -> Severity | None:
    """The greatest; None of none."""
    return max(severities, key=lambda one: one.badness, default=None)
