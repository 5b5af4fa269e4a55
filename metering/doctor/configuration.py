"""The settings of this process."""

from typing import Final

from aggregator.health.severity import Severity
from metering.doctor.check import Check, Result, found, holds
from metering.settings import unknown_variables

SETTINGS: Final = Check(
    "settings",
    Severity.WARNING,
    "Every METERING_ variable is a setting, and has a legal value.",
    "Correct or remove the variables that are named: `metering config` lists every setting.",
)
CHECKS: Final = (SETTINGS,)


def examine() -> list[Result]:
    """Look at the environment; a value that is not legal ends the command before this."""
    wrong = unknown_variables()
    return [found(SETTINGS, f"There are no such settings: {', '.join(wrong)}.") if wrong else holds(SETTINGS)]
