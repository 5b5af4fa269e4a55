"""The two servers, as the observer finds them."""

from typing import Final

from metering.telemetry.kinds import Gauge
from metering.telemetry.labels import SERVER, TABLE
from metering.telemetry.measurers import OBSERVER

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
