"""What a worker does with a batch: fetch, fold, flush; and the ids that it remembers."""

from typing import Final

from metering.telemetry.bounds import BYTES, RECORDS, SECONDS
from metering.telemetry.kinds import Counter, Gauge, Histogram
from metering.telemetry.labels import FLUSH_RESULT, FLUSH_STAGE, PARTITION
from metering.telemetry.measurers import WORKER

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
BUFFERED_RECORDS: Final = Gauge(
    "metering.buffer.records", "{record}", "Records fetched and not yet flushed.", of=WORKER
)
BUFFERED_BYTES: Final = Gauge(
    "metering.buffer.size", "By", "Their bytes; fetching pauses at the limit.", of=WORKER
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
