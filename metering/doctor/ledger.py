"""What the tables prove by themselves; the rules are `aggregator.store.doctor`."""

from typing import Final

from aggregator.health.severity import Severity
from aggregator.store import doctor as store
from aggregator.store import migrate
from aggregator.store.errors import StoreError
from metering.database import database
from metering.doctor.check import Check, Result, found, holds, unknown
from metering.errors import MeteringError
from metering.settings import Settings

CHECKS: Final = tuple(
    Check(
        code,
        Severity.CRITICAL,
        sentence,
        "Stop the workers, and find out who changed these rows before anything relies on them.",
        section="what-the-tables-prove",
    )
    for code, sentence in store.CHECKS.items()
)


async def examine(settings: Settings) -> list[Result]:
    """Re-derive everything, in one snapshot; reads whole tables."""
    try:
        async with database(settings) as connection:
            await migrate.require_migrated(connection)
            findings = {finding.code: finding for finding in await store.checks(connection)}
    except (MeteringError, StoreError):
        return [unknown(check, "The database does not answer, or is not set up.") for check in CHECKS]
    return [
        found(check, None, finding.rows, finding.row_count)
        if (finding := findings.get(check.code)) is not None
        else holds(check)
        for check in CHECKS
    ]
