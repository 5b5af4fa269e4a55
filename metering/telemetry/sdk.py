"""The providers that measure and trace, for a process with a collector or a port for Prometheus.

Imported when one is asked for: the exporters are slow to import.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from metering.telemetry.kinds import Process

EXPORT_TIMEOUT_S: Final = 5
EXPORT_INTERVAL_S: Final = 10


def resource(process: Process, instance: str) -> Resource:
    """Say who measures: https://opentelemetry.io/docs/specs/semconv/resource/#service."""
    return Resource.create(
        {
            "service.namespace": "metering",
            "service.name": f"metering-{process}",
            "service.version": version("metering"),
            "service.instance.id": instance,
        }
    )


def meters(who: Resource, readers: Sequence[MetricReader]) -> MeterProvider:
    """Make instruments that these readers read."""
    return MeterProvider(readers, who, shutdown_on_exit=False)


def metric_push(endpoint: str) -> MetricReader:
    """Push every value to a collector now and then, from a thread of its own."""
    return PeriodicExportingMetricReader(
        OTLPMetricExporter(f"{endpoint}/v1/metrics", timeout=EXPORT_TIMEOUT_S),
        export_interval_millis=EXPORT_INTERVAL_S * 1000,
        export_timeout_millis=EXPORT_TIMEOUT_S * 1000,
    )


def tracers(who: Resource, endpoint: str) -> TracerProvider:
    """Push spans to a collector, from a thread of its own; a full queue drops them."""
    provider = TracerProvider(resource=who, shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=EXPORT_TIMEOUT_S))
    )
    return provider


def loggers(who: Resource, endpoint: str) -> LoggerProvider:
    """Push log lines to a collector, from a thread of its own; a full queue drops them."""
    provider = LoggerProvider(who, shutdown_on_exit=False)
    exporter = OTLPLogExporter(f"{endpoint}/v1/logs", timeout=EXPORT_TIMEOUT_S)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    return provider
