"""How each partition does, and how far behind its log it is."""

from typing import Final

from metering.telemetry.kinds import Gauge
from metering.telemetry.labels import CODE, PARTITION, STATE
from metering.telemetry.measurers import CLOSER, OBSERVER, WORKER

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
FRONTIER_BEHIND: Final = Gauge(
    "metering.frontier.behind",
    "s",
    "Foremost frontier less this partition's: the greatest of them delays finality.",
    (PARTITION,),
    of=CLOSER + OBSERVER,
)
STOPPED_PARTITIONS: Final = Gauge(
    "metering.partitions.stopped",
    "{partition}",
    "1 while a partition is stopped, by code.",
    (PARTITION, CODE),
    of=WORKER + OBSERVER,
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
LOG_AHEAD: Final = Gauge(
    "metering.log.ahead",
    "s",
    "How far the newest record is ahead of the database's clock, else 0: a broker's clock that is wrong.",
    (PARTITION,),
    of=OBSERVER,
)
