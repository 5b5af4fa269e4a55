"""The labels of instruments, with all the values they may have."""

import re
from typing import Final

from aggregator.batch import Outcomes
from aggregator.health.finding import Kind
from aggregator.health.partition import State
from metering.telemetry.kinds import Label
from schemas.codes import Code
from schemas.problems import ProblemCode

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

SOURCE: Final = Label(
    "source",
    "CloudEvents' `source` of one that is silent, at most 50 of them",
    re.compile(r".{1,256}", re.DOTALL),
)
STANDING: Final = Label(
    "standing",
    "`watched` by name; `silent` of these; `beyond`: too many for that, as one batch had them",
    ("watched", "silent", "beyond"),
)
METER: Final = Label("meter", "the meter's name", re.compile(r"[a-z][a-z0-9_-]{0,63}"))
DUTY: Final = Label("duty", "what one process does at a time", ("closer", "rater", "observer", "auditor"))
STATE: Final = Label(
    "state",
    "how a partition does, or all of them: as the worst ([what each means](cli.md#metering-status))",
    tuple(one.value for one in State),
)
HOT_TABLES: Final = (
    "ingest_partition",
    "usage_window",
    "dedupe_chunk",
    "batch",
    "batch_meter",
    "source_activity",
    "quarantine",
    "repair_outbox",
)
TABLE: Final = Label("table", "a table that flushes write to, its partitions by time included", HOT_TABLES)
VERSIONS: Final = Label(
    "versions", "`first` of periods, or `later` ones that adjustments made", ("first", "later")
)

FLUSH_STAGE: Final = Label(
    "stage",
    "part of a flush, in this order; `check`: begin, compare-and-set, catalog's head",
    ("check", "ledger", "ids", "windows", "quarantine", "commit"),
)
EXTREME: Final = Label("record", "which record of a batch", ("oldest", "newest"))
SERVER: Final = Label("server", "which server", ("database", "brokers"))
LINE: Final = Label(
    "line", "line of work that has a connection of its own", ("flushes", "loads", "chores", "outbox")
)
POOLED: Final = Label("state", "what a connection of the pool is", ("used", "idle"))
PROVED: Final = Label(
    "result",
    "`equal`: the log says the same; `unreadable`: too little of the log is kept, or it does not answer",
    ("equal", "unequal", "unreadable"),
)
FINDING: Final = Label(
    "kind", "what does not hold: [the runbook](doctor.md#proof)", tuple(one.value for one in Kind)
)

CURRENCY: Final = Label("currency", "of the plans of today that would charge for it", re.compile(r"[A-Z]{3}"))
BOUND: Final = Label("bound", "on the cheapest plan of today, and on the dearest", ("least", "most"))
