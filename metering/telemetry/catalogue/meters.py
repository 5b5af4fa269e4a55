"""How final and how fresh each meter is."""

from typing import Final

from metering.telemetry.bounds import SECONDS
from metering.telemetry.kinds import Gauge, Histogram
from metering.telemetry.labels import METER, PARTITION
from metering.telemetry.measurers import CLOSER, OBSERVER

CLOSING: Final = Gauge(
    "metering.closing.timestamp",
    "s",
    "Log time that every partition has reached, in seconds since the Unix epoch: what is final rests on it.",
    of=CLOSER + OBSERVER,
)
CLOSE_DURATION: Final = Histogram(
    "metering.close.duration", "s", "Time to make final what can be.", bounds=SECONDS, of=CLOSER
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
FINALITY_BLOCKED: Final = Gauge(
    "metering.finality.blocked",
    "s",
    "Log time that this partition lacks until the meter's next window is final; others have reached it.",
    (METER, PARTITION),
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
