"""Every instrument the service has, typed: what is not here is not emitted. It makes `docs/metrics.md`.

A new one goes into the module of its area, and is `catalogue.NAME` from then on:

    records     what becomes of records, and how soon it is seen
    batches     what a worker does with a batch: fetch, fold, flush; and the ids that it remembers
    ownership   who owns partitions, what is in doubt, and what owners write back to the log
    partitions  how each partition does, and how far behind its log it is
    meters      how final and how fresh each meter is
    oddities    what is compared with its own past: who is silent, whose usage is unusual
    money       money at risk: what was refused, and what nobody pays for
    processes   whether processes are ready, and which of them is at work
    servers     the two servers, as the observer finds them
    rating      what raters do
    proof       what the auditor has proved
    publishing  what producers send through our client
    api         how the HTTP API answers

Labels are in `metering.telemetry.labels`, buckets in `bounds`, who measures in `measurers`. Names, units and
kinds follow OpenTelemetry's semantic conventions for metrics
(https://opentelemetry.io/docs/specs/semconv/general/metrics/): dotted names, UCUM units, seconds for time.
"""

from typing import Final

from metering.telemetry.catalogue.api import *
from metering.telemetry.catalogue.batches import *
from metering.telemetry.catalogue.meters import *
from metering.telemetry.catalogue.money import *
from metering.telemetry.catalogue.oddities import *
from metering.telemetry.catalogue.ownership import *
from metering.telemetry.catalogue.partitions import *
from metering.telemetry.catalogue.processes import *
from metering.telemetry.catalogue.proof import *
from metering.telemetry.catalogue.publishing import *
from metering.telemetry.catalogue.rating import *
from metering.telemetry.catalogue.records import *
from metering.telemetry.catalogue.servers import *
from metering.telemetry.kinds import Instrument

CATALOGUE: Final[tuple[Instrument, ...]] = tuple(
    value for value in list(globals().values()) if isinstance(value, Instrument)
)
