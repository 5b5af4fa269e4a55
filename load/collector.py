"""A collector of the benchmark's own: the worker's telemetry, sent over OTLP as in production, kept here."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric


class Distribution(NamedTuple):
    """A histogram's values, all labels together."""

    values: int
    total: float

    @property
    def mean(self) -> float:
        """0 of none."""
        return self.total / self.values if self.values else 0.0


class Collector:
    """The newest state of every histogram of one process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._histograms: dict[str, list[HistogramDataPoint]] = defaultdict(list)

    def distribution(self, name: str) -> Distribution:
        """A histogram by its name in the catalogue."""
        points = self._histograms.get(name, [])
        return Distribution(sum(point.count for point in points), sum(point.sum for point in points))

    def take(self, request: bytes) -> None:
        """Keep the metrics of an export; they are cumulative, so the newest count."""
        for metric in _metrics(ExportMetricsServiceRequest.FromString(request)):
            if metric.HasField("histogram"):
                self._histograms[metric.name] = list(metric.histogram.data_points)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listen for one process; it must have ended, or closed its telemetry, before the figures are whole."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    collector = _Handler.collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def hanging() -> Iterator[str]:
    """Listen as a collector that reads what it is sent and never answers: its address."""
    _Hanging.ended = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hanging)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        _Hanging.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _metrics(request: ExportMetricsServiceRequest) -> Iterable[Metric]:
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            yield from scope.metrics


class _Handler(BaseHTTPRequestHandler):
    collector: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/metrics":
            self.collector.take(body)
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: the benchmark's output is its own."""


class _Hanging(BaseHTTPRequestHandler):
    ended: threading.Event

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.ended.wait()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing: the benchmark's output is its own."""
