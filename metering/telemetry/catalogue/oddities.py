"""What is compared with its own past: who is silent, whose usage is unusual."""

from typing import Final

from metering.telemetry.kinds import Gauge
from metering.telemetry.labels import METER, SOURCE, STANDING
from metering.telemetry.measurers import OBSERVER

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
    "Subjects whose usage in the last hour that is final left the range of the same hour before: of each "
    "meter that sums or counts in windows of up to an hour, among the 1,000 with the most usage then.",
    (METER,),
    of=OBSERVER,
)
