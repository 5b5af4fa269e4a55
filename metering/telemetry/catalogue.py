"""Every instrument the service has, typed: what is not here is not emitted. It makes `docs/metrics.md`.

Names, units and kinds follow OpenTelemetry's semantic conventions for metrics
(https://opentelemetry.io/docs/specs/semconv/general/metrics/): dotted names, UCUM units, seconds for time.
"""

from typing import Final

from metering.telemetry.kinds import Counter, Gauge, Histogram, Instrument, Process
from metering.telemetry.labels import (
    BOUND,
    CODE,
    CURRENCY,
    DUTY,
    EXTREME,
    FINDING,
    FLUSH_RESULT,
    FLUSH_STAGE,
    LINE,
    METER,
    METER_OUTCOME,
    OUTCOME,
    PARTITION,
    POOLED,
    PROBLEM,
    PROVED,
    RESOLUTION,
    ROUTE,
    SERVER,
    SOURCE,
    STANDING,
    STATE,
    STATUS,
    TABLE,
    VERSIONS,
)

WORKER: Final[tuple[Process, ...]] = ("worker",)
CLOSER: Final[tuple[Process, ...]] = ("closer",)
RATER: Final[tuple[Process, ...]] = ("rater",)
AUDITOR: Final[tuple[Process, ...]] = ("auditor",)
API: Final[tuple[Process, ...]] = ("api",)
PUBLISHER: Final[tuple[Process, ...]] = ("publisher",)
OBSERVER: Final[tuple[Process, ...]] = ("observer",)
DUTIES: Final[tuple[Process, ...]] = ("closer", "rater", "observer", "auditor")

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
AGES: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3_600, 21_600, 86_400)  # seconds
RECORDS: Final = (0, 1, 10, 100, 1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000)
BYTES: Final = tuple(float(4**power) for power in range(5, 15))  # 1 KiB to 256 MiB

EVENTS: Final = Counter(
    "metering.events", "{record}", "Records accounted for, by their one outcome.", (OUTCOME,), of=WORKER
)
REFUSALS: Final = Counter(
    "metering.refusals", "{record}", "Records put into quarantine, by code.", (CODE,), of=WORKER
)
METER_EVENTS: Final = Counter(
    "metering.meter.events",
    "{event}",
    "Accepted events, once per meter they match.",
    (METER_OUTCOME,),
    of=WORKER,
)
LATE_BY_PIPELINE: Final = Counter(
    "metering.late_by_pipeline",
    "{event}",
    "Accepted repairs that became adjustments: late by our doing.",
    of=WORKER,
)

OVERFLOW: Final = Counter(
    "metering.cardinality.overflow",
    "{event}",
    "Events counted in a meter's `other` series, their window having as many groups as the limit allows.",
    of=WORKER,
)

VISIBLE_LATENCY: Final = Histogram(
    "metering.visible.latency",
    "s",
    "From the broker's timestamp of a batch's oldest and newest record to the commit that made them visible, "
    "by this process's wall clock: what the two clocks differ by is in it. Only where brokers stamp.",
    (EXTREME,),
    bounds=AGES,
    of=WORKER,
)
LAG_RECORDS: Final = Gauge(
    "metering.lag.records",
    "{record}",
    "Records in the log that are not yet counted.",
    (PARTITION,),
    of=WORKER + OBSERVER,
)
LAG_SECONDS: Final = Gauge(
    "metering.lag.time",
    "s",
    "Newest timestamp of the log less the frontier, by the log's own timestamps; 0 when caught up.",
    (PARTITION,),
    of=WORKER + OBSERVER,
)
FRONTIER: Final = Gauge(
    "metering.frontier.timestamp",
    "s",
    "Greatest record timestamp counted, in seconds since the Unix epoch.",
    (PARTITION,),
    of=WORKER + OBSERVER,
)
OWNED_PARTITIONS: Final = Gauge(
    "metering.partitions.owned", "{partition}", "Partitions this process has claimed.", of=WORKER
)
STOPPED_PARTITIONS: Final = Gauge(
    "metering.partitions.stopped",
    "{partition}",
    "1 while a partition is stopped, by code.",
    (PARTITION, CODE),
    of=WORKER + OBSERVER,
)
REMEMBERED_IDS: Final = Gauge(
    "metering.memory.ids", "{id}", "Event ids that new events are compared with.", (PARTITION,), of=WORKER
)
REMEMBERED_BYTES: Final = Gauge(
    "metering.memory.size", "By", "Memory that these ids take.", (PARTITION,), of=WORKER
)
LOADED_HOURS: Final = Counter(
    "metering.archive.hours",
    "{hour}",
    "Hours whose stored ids were loaded, because a repair is older than what is in memory.",
    of=WORKER,
)
LOAD_DURATION: Final = Histogram(
    "metering.load.duration",
    "s",
    "Time to load what a fold lacked: stored ids for a repair, or the groups of an old window.",
    bounds=SECONDS,
    of=WORKER,
)
BUFFERED_RECORDS: Final = Gauge(
    "metering.buffer.records", "{record}", "Records fetched and not yet flushed.", of=WORKER
)
BUFFERED_BYTES: Final = Gauge(
    "metering.buffer.size", "By", "Their bytes; fetching pauses at the limit.", of=WORKER
)

FETCH_DURATION: Final = Histogram(
    "metering.fetch.duration", "s", "Time to fetch the records of a batch.", bounds=SECONDS, of=WORKER
)
FOLD_DURATION: Final = Histogram(
    "metering.fold.duration", "s", "Time to fold a batch, decoding included.", bounds=SECONDS, of=WORKER
)
FLUSH_DURATION: Final = Histogram(
    "metering.flush.duration",
    "s",
    "Time of one flush, from begin to the end of its transaction.",
    (FLUSH_RESULT,),
    bounds=SECONDS,
    of=WORKER,
)
FLUSH_STAGE_DURATION: Final = Histogram(
    "metering.flush.stage.duration",
    "s",
    "Time of the parts of a flush that was committed.",
    (FLUSH_STAGE,),
    bounds=SECONDS,
    of=WORKER,
)
FLUSH_STATEMENTS: Final = Histogram(
    "metering.flush.statements",
    "{statement}",
    "SQL statements of one flush.",
    bounds=(1, 2, 4, 6, 8, 10, 15, 20, 50, 100),
    of=WORKER,
)
BATCH_RECORDS: Final = Histogram(
    "metering.batch.records", "{record}", "Offsets a batch spans, gaps included.", bounds=RECORDS, of=WORKER
)
BATCH_BYTES: Final = Histogram(
    "metering.batch.size", "By", "Bytes of a batch's records.", bounds=BYTES, of=WORKER
)
CATALOG_REFOLDS: Final = Counter(
    "metering.catalog.refolds", "{batch}", "Batches folded again because the catalog's head moved.", of=WORKER
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

READY: Final = Gauge(
    "metering.ready", "{process}", "1 while `/readyz` says so, else 0.", of=(*WORKER, *DUTIES)
)
AWAY: Final = Counter(
    "metering.server.away",
    "{attempt}",
    "Attempts that failed because a server did not answer, and were made again.",
    (SERVER,),
    of=(*WORKER, *DUTIES),
)
TURNS: Final = Counter(
    "metering.turns", "{turn}", "Times that this process became the one at work.", (DUTY,), of=DUTIES
)
LAST_STEP: Final = Gauge(
    "metering.step.timestamp",
    "s",
    "When this process last ended a step of its duty, in seconds since the Unix epoch by its own clock.",
    (DUTY,),
    of=DUTIES,
)
AT_WORK: Final = Gauge(
    "metering.at_work",
    "{process}",
    "1 while this process is the one at work, 0 while it waits.",
    (DUTY,),
    of=DUTIES,
)
CLOSING: Final = Gauge(
    "metering.closing.timestamp",
    "s",
    "Log time that every partition has reached, in seconds since the Unix epoch: what is final rests on it.",
    of=CLOSER + OBSERVER,
)
FINALITY_DELAY: Final = Gauge(
    "metering.finality.delay",
    "s",
    "Foremost frontier less the end of the last final window: at least the grace, and at most a window more "
    "while all partitions advance.",
    (METER,),
    of=CLOSER + OBSERVER,
)
FINALITY_OVERDUE: Final = Gauge(
    "metering.finality.overdue",
    "s",
    "How long the foremost partition is past the end and grace of the next window, which another holds back.",
    (METER,),
    of=CLOSER + OBSERVER,
)
FRONTIER_BEHIND: Final = Gauge(
    "metering.frontier.behind",
    "s",
    "Foremost frontier less this partition's: the greatest of them delays finality.",
    (PARTITION,),
    of=CLOSER + OBSERVER,
)
CLOSE_DURATION: Final = Histogram(
    "metering.close.duration", "s", "Time to make final what can be.", bounds=SECONDS, of=CLOSER
)

SERVER_UP: Final = Gauge(
    "metering.server.up",
    "{server}",
    "1 while the server answers, 0 while it does not: of every observer, whoever is at work.",
    (SERVER,),
    of=OBSERVER,
)
SERVER_SKEW: Final = Gauge(
    "metering.server.skew",
    "s",
    "How far the server's clock is ahead of this machine's, beyond the time that asking takes; brokers do "
    "not tell theirs: see `metering.log.ahead`.",
    (SERVER,),
    of=OBSERVER,
)
LOG_AHEAD: Final = Gauge(
    "metering.log.ahead",
    "s",
    "How far the newest record is ahead of the database's clock, else 0: a broker's clock that is wrong.",
    (PARTITION,),
    of=OBSERVER,
)
OBSERVE_DURATION: Final = Histogram(
    "metering.observe.duration", "s", "Time to look at everything once.", bounds=SECONDS, of=OBSERVER
)
PARTITION_STATE: Final = Gauge(
    "metering.partition.state",
    "{partition}",
    "1 of the state that the partition is in, 0 of the others; nothing while it cannot be known.",
    (PARTITION, STATE),
    of=OBSERVER,
)
GROUP_STATE: Final = Gauge(
    "metering.group.state",
    "{group}",
    "1 of the state that the worst partition is in, 0 of the others; nothing while it cannot be known.",
    (STATE,),
    of=OBSERVER,
)
PARTITION_OWNED: Final = Gauge(
    "metering.partition.owned",
    "{partition}",
    "1 while a worker is connected for it.",
    (PARTITION,),
    of=OBSERVER,
)
DUTY_HELD: Final = Gauge(
    "metering.duty.held",
    "{process}",
    "1 while some process has the turn, 0 while nobody has: by the database's own word.",
    (DUTY,),
    of=OBSERVER,
)
FRESHNESS: Final = Gauge(
    "metering.freshness",
    "s",
    "Age of the newest event that is counted, by its own time; only where the log's clock is the brokers'.",
    of=OBSERVER,
)
METER_FRESHNESS: Final = Gauge(
    "metering.meter.freshness",
    "s",
    "How long ago the newest event that the meter has counted was appended, to within a batch; grows while "
    "there are none to count too: see `metering.meter.silent`.",
    (METER,),
    of=OBSERVER,
)
FINALITY_BLOCKED: Final = Gauge(
    "metering.finality.blocked",
    "s",
    "Log time that this partition lacks until the meter's next window is final; others have reached it.",
    (METER, PARTITION),
    of=OBSERVER,
)
QUARANTINED: Final = Gauge(
    "metering.quarantine.records",
    "{record}",
    "Refused records that wait for somebody to decide, by code.",
    (CODE,),
    of=OBSERVER,
)
QUARANTINE_AGE: Final = Gauge(
    "metering.quarantine.age", "s", "Age of the oldest of them.", (CODE,), of=OBSERVER
)
QUARANTINE_MONEY: Final = Gauge(
    "metering.quarantine.at_risk",
    "{currency}",
    "What they would have cost, as far as they can be read: an estimate, looked at once a minute.",
    (CODE, CURRENCY, BOUND),
    of=OBSERVER,
)
QUARANTINE_NOT_ESTIMATED: Final = Gauge(
    "metering.quarantine.not_estimated",
    "{record}",
    "Of them, those whose money nobody knows: they cannot be read, have no price, or are too many.",
    (CODE,),
    of=OBSERVER,
)
RETENTION_LEFT: Final = Gauge(
    "metering.retention.left",
    "s",
    "Time until Kafka may delete the oldest record that is not counted; all of the retention while there is "
    "none. Nothing where the log is kept for ever.",
    (PARTITION,),
    of=OBSERVER,
)
LOG_KEPT: Final = Gauge(
    "metering.log.kept",
    "{record}",
    "Counted records that the log still has; below 0, so many were deleted before they were counted.",
    (PARTITION,),
    of=OBSERVER,
)
UNRATED_EVENTS: Final = Gauge(
    "metering.unrated.events",
    "{event}",
    "Counted events that no subscription pays for.",
    of=OBSERVER,
)
UNRATED_MONEY: Final = Gauge(
    "metering.unrated.at_risk",
    "{currency}",
    "What they would cost: an estimate, as `metering unrated` shows it.",
    (CURRENCY, BOUND),
    of=OBSERVER,
)
UNRATED_NOT_ESTIMATED: Final = Gauge(
    "metering.unrated.not_estimated",
    "{event}",
    "Of them, those whose money nobody knows: no plan of today has a price, or they are too many.",
    of=OBSERVER,
)
SILENT_SUBSCRIPTIONS: Final = Gauge(
    "metering.unrated.subscriptions.silent",
    "{subscription}",
    "Subscriptions' meters without usage for longer than ever before.",
    of=OBSERVER,
)
METER_SILENT: Final = Gauge(
    "metering.meter.silent",
    "{meter}",
    "1 while the meter has had no events for longer than its own past explains, by log time; nothing while "
    "it has not enough of a past.",
    (METER,),
    of=OBSERVER,
)
SOURCE_SILENT: Final = Gauge(
    "metering.source.silent",
    "{source}",
    "1 while the source was not heard for longer than its own past explains, by log time and to within a "
    "minute; nothing while it was, or has not enough of a past, or after two weeks.",
    (SOURCE,),
    of=OBSERVER,
)
SOURCES: Final = Gauge(
    "metering.sources",
    "{source}",
    "Sources heard within two weeks. Each partition watches the first 200 by name, the rest as one.",
    (STANDING,),
    of=OBSERVER,
)
ANOMALOUS_SUBJECTS: Final = Gauge(
    "metering.meter.anomalies",
    "{subject}",
    "Subjects whose usage in the last hour that is final left the range of the same hour before.",
    (METER,),
    of=OBSERVER,
)
OLDEST_TRANSACTION: Final = Gauge(
    "metering.database.transaction.age",
    "s",
    "Age of the oldest open transaction, of those that this login may see (`pg_read_all_stats`): it keeps "
    "old row versions from being cleared away.",
    of=OBSERVER,
)
DEAD_ROWS: Final = Gauge(
    "metering.database.dead_rows",
    "{row}",
    "Row versions that wait to be cleared away.",
    (TABLE,),
    of=OBSERVER,
)
DATABASE_WAL: Final = Gauge(
    "metering.database.wal",
    "By",
    "Write-ahead log of the whole server since its statistics were reset: its rate by that of "
    "`metering.events` is the WAL of an event.",
    of=OBSERVER,
)
DATABASE_SIZE: Final = Gauge("metering.database.size", "By", "Size of the database on disk.", of=OBSERVER)

RATED_VERSIONS: Final = Counter(
    "metering.rated.versions", "{version}", "Versions of rated totals written.", (VERSIONS,), of=RATER
)
RATE_DURATION: Final = Histogram(
    "metering.rate.duration",
    "s",
    "Time to rate the periods of one transaction.",
    (VERSIONS,),
    bounds=SECONDS,
    of=RATER,
)
THRESHOLDS_CROSSED: Final = Counter(
    "metering.thresholds.crossed", "{threshold}", "Thresholds that usage has crossed.", of=RATER
)
FEED_PUSHED: Final = Counter(
    "metering.feed.pushed", "{entry}", "Entries of the feed written to its Kafka topic.", of=RATER
)

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

PUBLISHED: Final = Counter(
    "metering.publisher.sent", "{event}", "Events the brokers acknowledged.", of=PUBLISHER
)
PUBLISH_PENDING: Final = Gauge(
    "metering.publisher.pending",
    "{event}",
    "Events sent and not yet acknowledged, as of the last thousand or the last flush.",
    of=PUBLISHER,
)
PUBLISH_REFUSED: Final = Counter(
    "metering.publisher.refused", "{event}", "Events refused before they were sent.", (CODE,), of=PUBLISHER
)
PUBLISH_FAILED: Final = Counter(
    "metering.publisher.failed",
    "{event}",
    "Events that could not be delivered; the caller was told.",
    of=PUBLISHER,
)

API_DURATION: Final = Histogram(
    "metering.api.duration",
    "s",
    "Time from an HTTP request to the end of its answer.",
    (ROUTE, STATUS),
    bounds=SECONDS,
    of=API,
)
API_IN_FLIGHT: Final = Gauge(
    "metering.api.in_flight", "{request}", "HTTP requests whose answer has not ended.", of=API
)
API_CONNECTIONS: Final = Gauge(
    "metering.api.connections",
    "{connection}",
    "Database connections of the API's pool; it makes them as they are needed.",
    (POOLED,),
    of=API,
)
API_CONNECTION_WAIT: Final = Histogram(
    "metering.api.connection.wait",
    "s",
    "Time a request waited for a connection of the pool, or until it gave up.",
    bounds=SECONDS,
    of=API,
)
API_PROBLEMS: Final = Counter(
    "metering.api.problems",
    "{response}",
    "HTTP requests that ended in a problem, by code.",
    (PROBLEM,),
    of=API,
)

CATALOGUE: Final[tuple[Instrument, ...]] = tuple(
    value for value in list(globals().values()) if isinstance(value, Instrument)
)
