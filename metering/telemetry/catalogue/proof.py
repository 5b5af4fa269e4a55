"""What the auditor has proved."""

from typing import Final

from metering.telemetry.bounds import SECONDS
from metering.telemetry.kinds import Counter, Gauge, Histogram
from metering.telemetry.labels import FINDING, PROVED
from metering.telemetry.measurers import AUDITOR

PROOF_WINDOWS: Final = Counter(
    "metering.proof.windows",
    "{window}",
    "Final windows, and rows beside them, that were recounted from the log and compared.",
    (PROVED,),
    of=AUDITOR,
)
PROOF_ACCURACY: Final = Gauge(
    "metering.proof.accuracy",
    "{share}",
    "Billing accuracy: of the windows and rows beside them that the last hundred proofs compared, the share "
    "that is equal to the log, 0 to 1. What is open is compared again each time.",
    of=AUDITOR,
)
PROOF_FINDINGS: Final = Gauge(
    "metering.proof.findings",
    "{finding}",
    "What was found wrong and has not been put right, up to a hundred of each check.",
    (FINDING,),
    of=AUDITOR,
)
PROOF_TIMESTAMP: Final = Gauge(
    "metering.proof.timestamp",
    "s",
    "When the last round ended in which a stretch of every partition was recounted, in seconds since the "
    "Unix epoch.",
    of=AUDITOR,
)
PROOF_DURATION: Final = Histogram(
    "metering.proof.duration", "s", "Time of one step of the auditor.", bounds=SECONDS, of=AUDITOR
)
