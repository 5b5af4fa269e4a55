"""Who owns partitions, what is in doubt, and what owners write back to the log."""

from typing import Final

from metering.telemetry.bounds import SECONDS
from metering.telemetry.kinds import Counter, Gauge, Histogram
from metering.telemetry.labels import LINE, RESOLUTION
from metering.telemetry.measurers import OBSERVER, WORKER

OWNED_PARTITIONS: Final = Gauge(
    "metering.partitions.owned", "{partition}", "Partitions this process has claimed.", of=WORKER
)
REBALANCES: Final = Counter(
    "metering.rebalances", "{rebalance}", "Assignments that the group handed out.", of=WORKER
)
CLAIMS: Final = Counter("metering.claims", "{claim}", "Partitions claimed with a new epoch.", of=WORKER)
CLAIM_DURATION: Final = Histogram(
    "metering.claim.duration",
    "s",
    "Time from an assignment until its partitions are claimed and their ids loaded.",
    bounds=SECONDS,
    of=WORKER,
)
FENCED: Final = Counter(
    "metering.fenced", "{partition}", "Partitions found to belong to another owner.", of=WORKER
)
UNKNOWN_OUTCOMES: Final = Counter(
    "metering.unknown_outcomes",
    "{flush}",
    "Flushes whose commit was doubtful, as resolved.",
    (RESOLUTION,),
    of=WORKER,
)
CONNECTIONS: Final = Counter(
    "metering.database.connections",
    "{connection}",
    "Connections made to the database: one for each line of work, and another after each doubt.",
    (LINE,),
    of=WORKER,
)
MIRROR_FAILURES: Final = Counter(
    "metering.mirror.failures",
    "{commit}",
    "Offset commits to Kafka that failed; harmless, but lag tools err.",
    of=WORKER,
)
TICKS: Final = Counter("metering.ticks", "{record}", "Tick records written to idle partitions.", of=WORKER)
OUTBOX_PENDING: Final = Gauge(
    "metering.outbox.pending",
    "{record}",
    "Repair records that wait to be published: misplaced ones, and those brought back.",
    of=WORKER + OBSERVER,
)
OUTBOX_SENT: Final = Counter(
    "metering.outbox.sent", "{record}", "Repair records published from the outbox.", of=WORKER
)
