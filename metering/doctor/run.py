"""Every check there is, and all of them done."""

from typing import Final

from metering.doctor import brokers, configuration, database
from metering.doctor.check import Check, Result
from metering.settings import Settings

CHECKS: Final[tuple[Check, ...]] = (*configuration.CHECKS, *database.CHECKS, *brokers.CHECKS)


async def examine(settings: Settings) -> list[Result]:
    """Do every check; the result of each is there, whatever does not answer."""
    return [
        *configuration.examine(),
        *await database.examine(settings),
        *await brokers.examine(settings),
    ]
