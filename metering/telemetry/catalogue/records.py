"""What becomes of records, and how soon it is seen."""

from typing import Final

from metering.telemetry.bounds import AGES
from metering.telemetry.kinds import Counter, Histogram
from metering.telemetry.labels import CODE, EXTREME, METER, METER_OUTCOME, OUTCOME
from metering.telemetry.measurers import WORKER

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
METER_ERRORS: Final = Counter(
    "metering.meter.errors",
    "{event}",
    "Accepted events that a meter matches and cannot read, by meter: `error` of `metering.meter.events`.",
    (METER,),
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
    (METER,),
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
