"""What the auditor has found, and whether there is one that proves anything."""

from collections.abc import Sequence
from typing import Final

from aggregator.health.severity import Severity
from aggregator.store.proof import KeptProof
from metering.doctor.check import Check, Result, found, holds
from metering.observer.counted import Accounts
from metering.texts import duration_text

OLD_US: Final = 600_000_000
"""A proof is kept in each step of the auditor, which is every few seconds."""

AUDITOR: Final = "auditor"
PROOF: Final = Check(
    "proof",
    Severity.CRITICAL,
    "Nothing that the auditor has compared with the log is wrong.",
    "Stop the workers, and find out who changed what the rows name: `metering explain --window`.",
)
PROOF_AGE: Final = Check(
    "proof_age",
    Severity.WARNING,
    "What was proved was proved lately.",
    "Start `metering prove`, or look at the log of the auditor that is at work: `proof_waits`.",
)
AUDITOR_AT_WORK: Final = Check(
    "auditor",
    Severity.INFO,
    "Somebody proves what is counted.",
    "Start `metering prove`: without it nobody compares what was counted with the log.",
)
CHECKS: Final = (PROOF, PROOF_AGE, AUDITOR_AT_WORK)


def examine(accounts: Accounts) -> list[Result]:
    """Judge the newest proof of each kind."""
    newest = list(accounts.proofs.values())
    return [_findings(newest), _age(newest), _at_work(accounts)]


def _findings(newest: Sequence[KeptProof]) -> Result:
    rows = [finding.document() for one in newest for finding in one.proof.findings]
    wrong = sum(one.proof.wrong for one in newest)
    if wrong:
        return found(PROOF, "What is counted is not what the log comes to, or does not add up.", rows, wrong)
    return holds(PROOF, None if newest else "Nothing was proved yet.")


def _age(newest: Sequence[KeptProof]) -> Result:
    if not newest:
        return holds(PROOF_AGE, "Nothing was proved yet.")
    last = max(newest, key=lambda one: one.at_us)
    age = duration_text(last.read_us - last.at_us)
    if last.read_us - last.at_us > OLD_US:
        return found(PROOF_AGE, f"The newest proof is {age} old.")
    return holds(PROOF_AGE, f"The newest proof is {age} old.")


def _at_work(accounts: Accounts) -> Result:
    holder = accounts.at_work[AUDITOR]
    if holder is None:
        return found(AUDITOR_AT_WORK, "No auditor is at work: nobody proves what is counted.")
    return holds(AUDITOR_AT_WORK, f"{holder} is at work.")
