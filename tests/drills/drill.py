"""What a drill is to show of its fault: who names it, and what ends it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.rules import ALERTS_BY_NAME


@dataclass(frozen=True)
class Drill:
    """What names a fault and ends it; a test has it as its marker `drill`.

    Attributes:
        alert: its name; it must fire within a minute.
        doctor: codes of `metering doctor`, each of which must be found; none: it finds nothing of weight.
        console: words that the console must show; None: nobody is hurt, and it shows nothing of it.
        act: how the lines begin that a person types, from the alert's page; none: only a hand outside of our
            commands ends it (a server is started, a producer corrected), as the page says.
        consequences: other alerts that may fire until it is over.
    """

    alert: str
    doctor: Collection[str] = frozenset()
    console: str | None = None
    act: Sequence[str] = ()
    consequences: Collection[str] = frozenset()

    @property
    def page(self) -> Path:
        """The runbook page of its alert."""
        return ALERTS_BY_NAME[self.alert].page
