"""A collector of OTLP over HTTP in this process: what it was sent, and the ways in which one can fail."""

import gzip
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Behaviour = Literal["takes", "hangs", "fails", "drips", "refuses"]
"""`hangs`: reads and never answers; `fails`: 500; `drips`: a byte of its answer now and then, for ever;
`refuses`: nobody listens."""

ANSWER_BYTES: Final = 1_000_000
DRIP_S: Final = 0.05


class Span(NamedTuple):
    """What a test asks of a span; ids are hexadecimal."""

    service: str
    name: str
    trace_id: str
    span_id: str
    links: frozenset[tuple[str, str]]  # trace and span ids
    attributes: Mapping[str, Any]


class Line(NamedTuple):
    """What a test asks of a log line."""

    service: str
    event: str
    severity: str
    trace_id: str
    attributes: Mapping[str, Any]


class Collector:
    """Everything that was sent so far."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.url = ""
        self.requests = 0
        self.spans: list[Span] = []
        self.lines: list[Line] = []
        self.exemplars: dict[str, set[str]] = {}  # trace ids by metric
        self.metrics: set[str] = set()
        self.closing = threading.Event()
        self._lock = threading.Lock()

    def take(self, path: str, body: bytes) -> None:
        """Keep one request."""
        with self._lock:
            self.requests += 1
            {"/v1/traces": self._traces, "/v1/metrics": self._metrics, "/v1/logs": self._logs}[path](body)

    def _traces(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            self.spans += [
                Span(
                    service,
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    frozenset((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                    _attributes(span.attributes),
                )
                for scope in resource.scope_spans
                for span in scope.spans
            ]

    def _metrics(self, body: bytes) -> None:
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self.metrics.add(metric.name)
                    for point in metric.histogram.data_points:
                        self.exemplars.setdefault(metric.name, set()).update(
                            exemplar.trace_id.hex() for exemplar in point.exemplars
                        )

    def _logs(self, body: bytes) -> None:
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
            service = _attributes(resource.resource.attributes)["service.name"]
            self.lines += [
                Line(
                    service,
                    record.body.string_value,
                    record.severity_text,
                    record.trace_id.hex(),
                    _attributes(record.attributes),
                )
                for scope in resource.scope_logs
                for record in scope.log_records
            ]


@contextmanager
def collecting(behaviour: Behaviour = "takes") -> Iterator[Collector]:
    """Listen until the block ends."""
    collector = Collector(behaviour)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            _answer(self, collector)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.url = f"http://127.0.0.1:{server.server_port}"
    if behaviour == "refuses":
        server.server_close()
        yield collector
        return
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        collector.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, collector: Collector) -> None:
    body = handler.rfile.read(int(handler.headers["content-length"]))
    if handler.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    collector.take(handler.path, body)
    match collector.behaviour:
        case "hangs":
            collector.closing.wait()
            return
        case "drips":
            handler.send_response(200)
            handler.send_header("content-length", str(ANSWER_BYTES))
            handler.end_headers()
            try:
                while not collector.closing.wait(DRIP_S):
                    handler.wfile.write(b" ")
            except OSError:
                return  # whoever sent it has had enough
        case "fails" | "takes":
            handler.send_response(500 if collector.behaviour == "fails" else 200)
            handler.send_header("content-length", "0")
            handler.end_headers()
        case "refuses":
            raise AssertionError("nobody listens")


def _attributes(given: Any) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in given}


def _value(given: Any) -> Any:
    kind = given.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in given.array_value.values]
    return None if kind is None else getattr(given, kind)
