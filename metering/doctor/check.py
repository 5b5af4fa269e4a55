"""A check, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from aggregator.health.severity import Severity
from aggregator.store.errors import StoreError
from metering.errors import MeteringError

PAGE: Final = "docs/doctor.md"
_ROWS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at."""

    code: str  # stable: scripts and alerts rely on it
    severity: Severity  # of the finding, if there is one
    sentence: str  # what must hold
    next_step: str
    section: str | None = None  # of the page, where several checks share one

    @property
    def runbook(self) -> str:
        """Where the page says what a finding means, and what to do."""
        return f"{PAGE}#{self.section or self.code.replace('_', '-')}"


class Outcome(StrEnum):
    """What came of a check."""

    OK = "ok"
    FOUND = "found"
    UNKNOWN = "unknown"  # what it needs does not answer


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one check."""

    check: Check
    outcome: Outcome
    sentence: str  # what was found, or what holds
    rows: Sequence[Mapping[str, Any]] = ()
    row_count: int = 0
    error: MeteringError | StoreError | None = field(default=None, repr=False)


def holds(check: Check, sentence: str | None = None) -> Result:
    """It is as it should be; perhaps in words of this very case."""
    return Result(check, Outcome.OK, sentence or check.sentence)


def found(
    check: Check,
    sentence: str | None = None,
    rows: Sequence[Mapping[str, Any]] = (),
    row_count: int | None = None,
) -> Result:
    """It is not as it should be; a finding without words of its own says what does not hold."""
    count = len(rows) if row_count is None else row_count
    said = sentence or f"This does not hold: {check.sentence}"
    return Result(check, Outcome.FOUND, said, rows[:_ROWS_SHOWN], count)


def judged(
    check: Check, rows: Sequence[Mapping[str, Any]], sentence: str | None = None, well: str | None = None
) -> Result:
    """Found if there are rows; `well` is what holds if there are none."""
    return found(check, sentence, rows) if rows else holds(check, well)


def unknown(check: Check, sentence: str, error: MeteringError | StoreError | None = None) -> Result:
    """It could not be looked at."""
    return Result(check, Outcome.UNKNOWN, sentence, error=error)
