"""Every instrument the service has, typed: what is not here is not emitted. It makes `docs/metrics.md`.

Names, units and kinds follow OpenTelemetry's semantic conventions for metrics
(https://opentelemetry.io/docs/specs/semconv/general/metrics/): dotted names, UCUM units, seconds for time.
"""

import re
from dataclasses import dataclass
from typing import Final

from aggregator.batch import Outcomes
from schemas.codes import Code
from schemas.problems import ProblemCode

UNLISTED: Final = "unlisted"
"""What a label says when the code gave a value that its label does not list: a bug, but a bounded one."""


@dataclass(frozen=True, slots=True)
class Label:
    """A dimension of an instrument; `values` are all it may have, or the pattern they have."""

    name: str
    meaning: str
    values: tuple[str, ...] | re.Pattern[str]

    def bounded(self, value: str) -> str:
        """Give the value back if it is one of the label's, else `unlisted`."""
        if isinstance(self.values, re.Pattern):
            return value if self.values.fullmatch(value) else UNLISTED
        return value if value in self.values else UNLISTED


@dataclass(frozen=True, slots=True)
class Instrument:
    """What all kinds of instrument have in common."""

    name: str
    unit: str
    meaning: str
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Counter(Instrument):
    """A number that only grows."""


@dataclass(frozen=True, slots=True)
class Gauge(Instrument):
    """The latest value, until it is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram(Instrument):
    """A distribution; `bounds` are the upper bounds of its buckets, in its unit."""

    bounds: tuple[float, ...]


SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
RECORDS: Final = (0, 1, 10, 100, 1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000)
BYTES: Final = tuple(float(4**power) for power in range(5, 15))  # 1 KiB to 256 MiB

PARTITION: Final = Label("partition", "Kafka partition of the usage topic", re.compile(r"\d{1,6}"))
CODE: Final = Label(
    "code", "stable code of the refusal or stop: [the runbook](runbook.md)", tuple(one.value for one in Code)
)
OUTCOME: Final = Label("outcome", "what became of the record", Outcomes._fields)
METER_OUTCOME: Final = Label(
    "outcome",
    "what a meter made of an accepted event; `unmetered`: no meter matched it",
    ("increment", "adjustment", "void", "error", "unmetered"),
)
FLUSH_RESULT: Final = Label(
    "result",
    "how the transaction ended",
    ("committed", "catalog_moved", "fenced", "unknown", "failed"),
)
ROUTE: Final = Label(
    "route", "route of the HTTP API; `none`: there is none", re.compile(r"none|/[a-z0-9_/{}-]{0,100}")
)
STATUS: Final = Label("status", "HTTP status", re.compile(r"[0-9]{1,3}"))
PROBLEM: Final = Label("problem", "stable code of the problem", tuple(one.value for one in ProblemCode))
RESOLUTION: Final = Label(
    "resolution", "what the database said of a doubtful commit", ("committed", "retried", "fenced")
)

METER: Final = Label("meter", "the meter's name", re.compile(r"[a-z][a-z0-9_-]{0,63}"))
DUTY: Final = Label("duty", "what one process does at a time", ("closer", "rater"))

EVENTS: Final = Counter(
    "metering.events", "{record}", "Records accounted for, by their one outcome.", (OUTCOME,)
)
REFUSALS: Final = Counter("metering.refusals", "{record}", "Records put into quarantine, by code.", (CODE,))
METER_EVENTS: Final = Counter(
    "metering.meter.events", "{event}", "Accepted events, once per meter they match.", (METER_OUTCOME,)
)
LATE_BY_PIPELINE: Final = Counter(
    "metering.late_by_pipeline", "{event}", "Accepted repairs that became adjustments: late by our doing."
)

LAG_RECORDS: Final = Gauge(
    "metering.lag.records", "{record}", "Records in the log that are not yet counted.", (PARTITION,)
)
LAG_SECONDS: Final = Gauge(
    "metering.lag.time",
    "s",
    "Newest timestamp of the log less the frontier, by the log's own timestamps; 0 when caught up.",
    (PARTITION,),
)
FRONTIER: Final = Gauge(
    "metering.frontier",
    "s",
    "Greatest record timestamp counted, in seconds since the Unix epoch.",
    (PARTITION,),
)
OWNED_PARTITIONS: Final = Gauge(
    "metering.partitions.owned", "{partition}", "Partitions this process has claimed."
)
STOPPED_PARTITIONS: Final = Gauge(
    "metering.partitions.stopped",
    "{partition}",
    "1 while a partition is stopped, by code.",
    (PARTITION, CODE),
)
REMEMBERED_IDS: Final = Gauge(
    "metering.memory.ids", "{id}", "Event ids that new events are compared with.", (PARTITION,)
)
BUFFERED_RECORDS: Final = Gauge("metering.buffer.records", "{record}", "Records fetched and not yet flushed.")
BUFFERED_BYTES: Final = Gauge("metering.buffer.size", "By", "Their bytes; fetching pauses at the limit.")

FETCH_DURATION: Final = Histogram(
    "metering.fetch.duration", "s", "Time to fetch the records of a batch.", bounds=SECONDS
)
FOLD_DURATION: Final = Histogram(
    "metering.fold.duration", "s", "Time to fold a batch, decoding included.", bounds=SECONDS
)
FLUSH_DURATION: Final = Histogram(
    "metering.flush.duration",
    "s",
    "Time of one flush, from begin to the end of its transaction.",
    (FLUSH_RESULT,),
    bounds=SECONDS,
)
FLUSH_STATEMENTS: Final = Histogram(
    "metering.flush.statements",
    "{statement}",
    "SQL statements of one flush.",
    bounds=(1, 2, 4, 6, 8, 10, 15, 20, 50, 100),
)
BATCH_RECORDS: Final = Histogram(
    "metering.batch.records", "{record}", "Offsets a batch spans, gaps included.", bounds=RECORDS
)
BATCH_BYTES: Final = Histogram("metering.batch.size", "By", "Bytes of a batch's records.", bounds=BYTES)
CATALOG_REFOLDS: Final = Counter(
    "metering.catalog.refolds", "{batch}", "Batches folded again because the catalog's head moved."
)

REBALANCES: Final = Counter("metering.rebalances", "{rebalance}", "Assignments that the group handed out.")
CLAIMS: Final = Counter("metering.claims", "{claim}", "Partitions claimed with a new epoch.")
FENCED: Final = Counter("metering.fenced", "{partition}", "Partitions found to belong to another owner.")
UNKNOWN_OUTCOMES: Final = Counter(
    "metering.unknown_outcomes", "{flush}", "Flushes whose commit was doubtful, as resolved.", (RESOLUTION,)
)
MIRROR_FAILURES: Final = Counter(
    "metering.mirror.failures",
    "{commit}",
    "Offset commits to Kafka that failed; harmless, but lag tools err.",
)
TICKS: Final = Counter("metering.ticks", "{record}", "Tick records written to idle partitions.")
OUTBOX_PENDING: Final = Gauge(
    "metering.outbox.pending", "{record}", "Misplaced records that wait to be republished."
)
OUTBOX_SENT: Final = Counter(
    "metering.outbox.sent", "{record}", "Repair records republished from the outbox."
)

AT_WORK: Final = Gauge(
    "metering.at_work", "{process}", "1 while this process is the one at work, 0 while it waits.", (DUTY,)
)
CLOSING: Final = Gauge(
    "metering.closing",
    "s",
    "Log time that every partition has reached, in seconds since the Unix epoch: what is final rests on it.",
)
FINALITY_DELAY: Final = Gauge(
    "metering.finality.delay",
    "s",
    "Foremost frontier less the end of the last final window: at least the grace, and at most a window more "
    "while all partitions advance.",
    (METER,),
)
FINALITY_OVERDUE: Final = Gauge(
    "metering.finality.overdue",
    "s",
    "How long the foremost partition is past the end and grace of the next window, which another holds back.",
    (METER,),
)
FRONTIER_BEHIND: Final = Gauge(
    "metering.frontier.behind",
    "s",
    "Foremost frontier less this partition's: the greatest of them delays finality.",
    (PARTITION,),
)
CLOSE_DURATION: Final = Histogram(
    "metering.close.duration", "s", "Time to make final what can be.", bounds=SECONDS
)

VERSIONS: Final = Label(
    "versions", "`first` of periods, or `later` ones that adjustments made", ("first", "later")
)
RATED_VERSIONS: Final = Counter(
    "metering.rated.versions", "{version}", "Versions of rated totals written.", (VERSIONS,)
)
RATE_DURATION: Final = Histogram(
    "metering.rate.duration",
    "s",
    "Time to rate the periods of one transaction.",
    (VERSIONS,),
    bounds=SECONDS,
)
THRESHOLDS_CROSSED: Final = Counter(
    "metering.thresholds.crossed", "{threshold}", "Thresholds that usage has crossed."
)
FEED_PUSHED: Final = Counter(
    "metering.feed.pushed", "{entry}", "Entries of the feed written to its Kafka topic."
)

PUBLISHED: Final = Counter("metering.publisher.sent", "{event}", "Events the brokers acknowledged.")
PUBLISH_REFUSED: Final = Counter(
    "metering.publisher.refused", "{event}", "Events refused before they were sent.", (CODE,)
)
PUBLISH_FAILED: Final = Counter(
    "metering.publisher.failed", "{event}", "Events that could not be delivered; the caller was told."
)

API_DURATION: Final = Histogram(
    "metering.api.duration",
    "s",
    "Time from an HTTP request to the end of its answer.",
    (ROUTE, STATUS),
    bounds=SECONDS,
)
API_PROBLEMS: Final = Counter(
    "metering.api.problems", "{response}", "HTTP requests that ended in a problem, by code.", (PROBLEM,)
)

CATALOGUE: Final[tuple[Instrument, ...]] = tuple(
    value for value in list(globals().values()) if isinstance(value, Instrument)
)
