"""Start and stop telemetry: what the settings ask for, else providers that do nothing, cheaply.

Counting never waits for a collector: spans, metrics and log lines leave from background threads, a full queue
drops them, and stopping waits for a bounded time.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider, Tracer, TracerProvider

from metering.settings import Settings
from metering.telemetry.instruments import Instruments
from metering.telemetry.kinds import Process

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader

    from metering.telemetry.prometheus import Exposition

SCOPE: Final = "metering"
CLOSE_TIMEOUT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What the service measures and traces with; `exposition` is what Prometheus may read, if it may."""

    instruments: Instruments
    tracer: Tracer
    exposition: "Exposition | None" = None
    _shutdowns: Sequence[Callable[[], object]] = field(default=(), repr=False)

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Send what is left, for `timeout_s` at most; a collector that hangs is left behind."""
        threads = [threading.Thread(target=shutdown, daemon=True) for shutdown in self._shutdowns]
        with _quiet():
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(timeout_s / len(threads))


@contextmanager
def _quiet() -> Iterator[None]:
    """What cannot be sent at the end is no news: the last line of a process is its own."""
    senders = logging.getLogger("opentelemetry")
    level = senders.level
    senders.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        senders.setLevel(level)


def start_telemetry(settings: Settings, process: Process) -> Telemetry:
    """Start what the settings ask for: a collector gets everything pushed, the admin port serves metrics."""
    if settings.otlp_endpoint is None and settings.admin_port is None:
        return no_telemetry()
    from metering.telemetry import sdk  # noqa: PLC0415 - slow to import, and most commands need none
    from metering.telemetry.log_push import LogPush  # noqa: PLC0415
    from metering.telemetry.prometheus import Exposition  # noqa: PLC0415

    who = sdk.resource(process, settings.instance)
    exposition = None if settings.admin_port is None else Exposition()
    readers: list[MetricReader] = [] if exposition is None else [exposition.reader]
    shutdowns: list[Callable[[], object]] = []
    tracers: TracerProvider = NoOpTracerProvider()
    if settings.otlp_endpoint is not None:
        endpoint = settings.otlp_endpoint.rstrip("/")
        readers.append(sdk.metric_push(endpoint))
        spans, lines = sdk.tracers(who, endpoint), sdk.loggers(who, endpoint)
        tracers = spans
        shutdowns += [_attached(LogPush(lines), lines.shutdown), spans.shutdown]
    meters = sdk.meters(who, readers)
    shutdowns.append(meters.shutdown)
    return make_telemetry(meters, tracers, process, exposition, shutdowns)


def _attached(push: logging.Handler, shut_down: Callable[[], object]) -> Callable[[], object]:
    """Give every line to the handler too, until it is shut down."""
    root = logging.getLogger()
    root.addHandler(push)

    def end() -> None:
        root.removeHandler(push)
        shut_down()

    return end


def no_telemetry() -> Telemetry:
    """Measure and trace nothing."""
    return make_telemetry(NoOpMeterProvider(), NoOpTracerProvider())


def make_telemetry(
    meters: MeterProvider,
    tracers: TracerProvider,
    process: Process | None = None,
    exposition: "Exposition | None" = None,
    shutdowns: Sequence[Callable[[], object]] = (),
) -> Telemetry:
    """Make telemetry on given providers, such as the in-memory ones of a test."""
    release = version("metering")
    return Telemetry(
        Instruments(meters.get_meter(SCOPE, release), process),
        tracers.get_tracer(SCOPE, release),
        exposition,
        shutdowns,
    )
