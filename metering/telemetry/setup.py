"""Start and stop telemetry: OTLP when an endpoint is set, else providers that do nothing, cheaply.

Counting never waits for a collector: spans and metrics leave from background threads, a full queue drops
spans, and stopping waits for a bounded time.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider, Tracer, TracerProvider

from metering.settings import Settings
from metering.telemetry.instruments import Instruments

SCOPE: Final = "metering"
EXPORT_TIMEOUT_S: Final = 5
EXPORT_INTERVAL_S: Final = 10
CLOSE_TIMEOUT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What the service measures and traces with."""

    instruments: Instruments
    tracer: Tracer
    _shutdowns: Sequence[Callable[[], object]] = field(default=(), repr=False)

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Send what is left, for `timeout_s` at most; a collector that hangs is left behind."""
        threads = [threading.Thread(target=shutdown, daemon=True) for shutdown in self._shutdowns]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout_s / len(threads))


def start_telemetry(settings: Settings) -> Telemetry:
    """Start what the settings ask for."""
    if settings.otlp_endpoint is None:
        return make_telemetry(NoOpMeterProvider(), NoOpTracerProvider())
    # Imported here: most processes have no collector, and the exporters are slow to import.
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk import metrics, resources, trace  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    endpoint = settings.otlp_endpoint.rstrip("/")
    resource = resources.Resource.create(
        {
            "service.name": "metering",
            "service.version": version("metering"),
            "service.instance.id": settings.instance,
        }
    )
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(f"{endpoint}/v1/metrics", timeout=EXPORT_TIMEOUT_S),
        export_interval_millis=EXPORT_INTERVAL_S * 1000,
        export_timeout_millis=EXPORT_TIMEOUT_S * 1000,
    )
    meters = metrics.MeterProvider([reader], resource, shutdown_on_exit=False)
    tracers = trace.TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=EXPORT_TIMEOUT_S))
    )
    return make_telemetry(meters, tracers, (meters.shutdown, tracers.shutdown))


def make_telemetry(
    meters: MeterProvider, tracers: TracerProvider, shutdowns: Sequence[Callable[[], object]] = ()
) -> Telemetry:
    """Make telemetry on given providers, such as the in-memory ones of a test."""
    release = version("metering")
    return Telemetry(
        Instruments(meters.get_meter(SCOPE, release)), tracers.get_tracer(SCOPE, release), shutdowns
    )
