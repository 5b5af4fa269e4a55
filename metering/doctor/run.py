"""Every check there is, and all of them done."""

from typing import Final

from metering.doctor import brokers, configuration, database, ids, ledger
from metering.doctor.check import Check, Result
from metering.settings import Settings

CHECKS: Final[tuple[Check, ...]] = (
    *configuration.CHECKS,
    *database.CHECKS,
    *brokers.CHECKS,
    *ids.CHECKS,
    *ledger.CHECKS,
)

STATEMENT_TIMEOUT_S: Final = 900.0
"""The ledger's checks read whole tables."""


async def examine(settings: Settings) -> list[Result]:
    """Do every check; the result of each is there, whatever does not answer."""
    patient = settings.model_copy(update={"statement_timeout_s": STATEMENT_TIMEOUT_S})
    return [
        *await examine_what_moves(patient),
        *await ids.examine(patient),
        *await ledger.examine(patient),
    ]


async def examine_what_moves(settings: Settings) -> list[Result]:
    """Do the checks of how things stand now: all but those that prove the tables, which take long."""
    return [
        *configuration.examine(),
        *await database.examine(settings),
        *await brokers.examine(settings),
    ]
