"""What the tables prove by themselves; the rules are `aggregator.store.doctor`."""

from typing import Final

from aggregator.health.severity import Severity
from aggregator.store import doctor as store
from aggregator.store.connection import Connection
from metering.doctor.check import Check, Result, found, holds

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


async def examine(connection: Connection) -> list[Result]:
    """Re-derive everything, in one snapshot; reads whole tables."""
    findings = {finding.code: finding for finding in await store.checks(connection)}
    return [
        found(check, None, finding.rows, finding.row_count)
        if (finding := findings.get(check.code)) is not None
        else holds(check)
        for check in CHECKS
    ]
