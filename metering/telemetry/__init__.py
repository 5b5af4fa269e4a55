"""Metrics, traces and logs: `start_telemetry` and `configure_logging` first, then record by `catalogue`."""

from metering.telemetry import catalogue
from metering.telemetry.instruments import Instruments
from metering.telemetry.logs import configure_logging
from metering.telemetry.setup import Telemetry, make_telemetry, no_telemetry, start_telemetry
from metering.telemetry.tracing import BatchTrace

__all__ = [
    "BatchTrace",
    "Instruments",
    "Telemetry",
    "catalogue",
    "configure_logging",
    "make_telemetry",
    "no_telemetry",
    "start_telemetry",
]
