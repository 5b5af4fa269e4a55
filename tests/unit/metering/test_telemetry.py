"""Telemetry: what is emitted is in the catalogue, spans tell a batch's story, a dead collector is left."""

import io
import json
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
import structlog
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import DataPointT, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider, StatusCode, format_span_id, format_trace_id
from support.collector import collecting
from support.telemetry import measure

from metering.settings import Settings
from metering.telemetry import (
    BatchTrace,
    Telemetry,
    catalogue,
    configure_logging,
    make_telemetry,
    start_telemetry,
)
from metering.telemetry.catalogue import CATALOGUE
from metering.telemetry.kinds import UNLISTED
from metering.telemetry.reference import render
from metering.telemetry.tracing import MAX_LINKS, producer_links


def labels_of(point: DataPointT) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, str(value)) for name, value in (point.attributes or {}).items()))


class Seen(NamedTuple):
    telemetry: Telemetry
    reader: InMemoryMetricReader
    spans: InMemorySpanExporter

    def values(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        data = self.reader.get_metrics_data()
        return {
            (metric.name, labels_of(point)): float(getattr(point, "value", 0) or getattr(point, "sum", 0))
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }

    def finished(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.spans.get_finished_spans()}


@pytest.fixture
def seen() -> Seen:
    reader, spans = InMemoryMetricReader(), InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    return Seen(make_telemetry(MeterProvider([reader], shutdown_on_exit=False), tracers), reader, spans)


class Record(NamedTuple):
    headers: tuple[tuple[str, bytes], ...]
    offset: int = 0
    timestamp: int = 0
    timestamp_type: int = 1
    key: bytes | None = None
    value: bytes | None = None


def traced(number: int) -> Record:
    return Record((("traceparent", f"00-{number + 1:032x}-{number + 1:016x}-01".encode()),))


def test_the_page_is_made_from_the_catalogue() -> None:
    page = Path(__file__).parents[3] / "docs" / "metrics.md"
    assert page.read_text() == render(), "run: python -m metering.telemetry.reference > docs/metrics.md"


def test_names_are_unique_and_ours() -> None:
    names = [one.name for one in CATALOGUE]
    assert len(set(names)) == len(names)
    assert all(name.startswith("metering.") for name in names)


def test_every_instrument_is_emitted_under_its_name_with_its_labels(seen: Seen) -> None:
    for one in CATALOGUE:
        measure(seen.telemetry, one)
    emitted = seen.values()
    assert {name for name, _ in emitted} == {one.name for one in CATALOGUE}
    assert all(value == 3 for value in emitted.values())
    assert UNLISTED not in {value for _, labels in emitted for _, value in labels}


def test_a_value_outside_the_catalogue_stays_bounded(seen: Seen) -> None:
    seen.telemetry.instruments.add(catalogue.EVENTS, 1, outcome="customer-4711")
    seen.telemetry.instruments.add(catalogue.EVENTS, 1, outcome="customer-4712")
    assert seen.values() == {("metering.events", (("outcome", UNLISTED),)): 2}


def test_labels_that_the_catalogue_does_not_name_are_refused(seen: Seen) -> None:
    with pytest.raises(TypeError, match=r"metering\.events"):
        seen.telemetry.instruments.add(catalogue.EVENTS, 1)
    with pytest.raises(TypeError, match=r"metering\.ticks"):
        seen.telemetry.instruments.add(catalogue.TICKS, 1, partition=1)


def test_a_partition_given_away_is_not_reported_any_more(seen: Seen) -> None:
    instruments = seen.telemetry.instruments
    for partition in (1, 11):
        instruments.set(catalogue.LAG_RECORDS, 5, partition=partition)
        instruments.set(catalogue.STOPPED_PARTITIONS, 1, partition=partition, code="clock_jump")
    instruments.forget(partition=1)
    assert {labels for _, labels in seen.values()} == {
        (("partition", "11"),),
        (("code", "clock_jump"), ("partition", "11")),
    }


def test_a_batch_is_one_span_with_a_child_per_step(seen: Seen) -> None:
    batch = BatchTrace.start(seen.telemetry.tracer, "usage.events", 3, start_ns=1_000)
    batch.link_producers([traced(0), traced(1)])
    batch.add_step("fetch", 1_000, 2_000, records=2)
    with batch.step("fold"):
        pass
    with pytest.raises(ZeroDivisionError), batch.step("flush"):
        raise ZeroDivisionError
    trace_id, span_id = batch.trace_id, batch.span_id
    batch.end(first_offset=0)
    spans = seen.finished()
    root = spans["process usage.events"]
    assert root.context is not None
    assert {name for name in spans if name != root.name} == {"fetch", "fold", "flush"}
    for name in ("fetch", "fold", "flush"):
        assert spans[name].parent == root.context
    assert root.parent is None
    assert trace_id == format_trace_id(root.context.trace_id)
    assert span_id == format_span_id(root.context.span_id)
    assert spans["flush"].status.status_code is StatusCode.ERROR
    assert [link.context.span_id for link in root.links] == [1, 2]


def test_links_are_few_distinct_and_spread_over_the_batch() -> None:
    links = producer_links([traced(number // 2) for number in range(100_000)])
    assert len(links) <= MAX_LINKS
    ids = [link.context.trace_id for link in links]
    assert len(set(ids)) == len(ids)
    assert ids[0] < 5_000
    assert ids[-1] > 45_000
    assert len(producer_links([traced(0)] * 10)) == 1


def test_a_broken_trace_header_links_to_nothing() -> None:
    broken = [
        Record((("traceparent", value),)) for value in (b"", b"\xff\xfe", b"00-zz-yy-01", b"00-" + b"0" * 49)
    ]
    assert producer_links([*broken, Record(()), traced(4)])[0].context.trace_id == 5
    assert len(producer_links([*broken, traced(4)])) == 1


def test_without_an_endpoint_nothing_is_traced_and_nothing_starts() -> None:
    telemetry = start_telemetry(Settings(otlp_endpoint=None, admin_port=None), "worker")
    batch = BatchTrace.start(telemetry.tracer, "t", 0)
    batch.link_producers([traced(0)])
    with batch.step("fold"):
        telemetry.instruments.add(catalogue.TICKS)
    batch.end()
    assert batch.trace_id is None
    assert batch.span_id is None
    telemetry.close()


def test_a_collector_that_hangs_is_left_behind_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.telemetry.sdk.EXPORT_TIMEOUT_S", 1)
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as collector:  # accepts, never answers
        endpoint = f"http://127.0.0.1:{collector.getsockname()[1]}"
        telemetry = start_telemetry(Settings(otlp_endpoint=endpoint), "worker")
        telemetry.instruments.add(catalogue.TICKS)
        BatchTrace.start(telemetry.tracer, "t", 0).end()
        telemetry.close(timeout_s=0.1)
        left = set(threading.enumerate()) - before
        assert left, "closing waited for the collector"
        connection, _ = collector.accept()  # it did try
        connection.close()
        for thread in left:
            thread.join()


def test_with_an_endpoint_metrics_spans_and_lines_arrive_with_who_sent_them(log: io.StringIO) -> None:
    with collecting() as collector:
        telemetry = start_telemetry(Settings(otlp_endpoint=collector.url + "/"), "worker")
        handlers = list(logging.getLogger().handlers)
        telemetry.instruments.add(catalogue.TICKS)
        batch = BatchTrace.start(telemetry.tracer, "usage.events", 0)
        with batch.step("flush"):
            structlog.get_logger("ours").info("flushed", partitions={3: 7}, records=7, ok=True)
            telemetry.instruments.record(catalogue.FLUSH_DURATION, 0.3, result="committed")
        trace_id = batch.trace_id
        batch.end()
        try:
            raise ValueError("bad")  # noqa: TRY301 - it must be raised to have a traceback
        except ValueError:
            structlog.get_logger("ours").exception("failed")
        logging.getLogger("asyncpg").warning("took %d s", 4)
        logging.getLogger("opentelemetry.sdk").warning("a line about sending lines")
        telemetry.close(timeout_s=30)
        structlog.get_logger("ours").info("after the end")
    assert "a line about sending lines" in log.getvalue()
    assert set(handlers) - set(logging.getLogger().handlers), "the handler is left behind"

    assert {span.name for span in collector.spans} == {"process usage.events", "flush"}
    assert {(one.service, one.trace_id) for one in collector.spans} == {("metering-worker", trace_id)}
    assert {"metering.ticks", "metering.flush.duration"} <= collector.metrics
    assert collector.exemplars["metering.flush.duration"] == {trace_id}

    flushed, failed, theirs = collector.lines
    assert (flushed.service, flushed.event, flushed.severity) == ("metering-worker", "flushed", "INFO")
    assert flushed.trace_id == trace_id
    assert flushed.attributes == {"partitions": '{"3": 7}', "records": 7, "ok": True}
    assert (failed.event, failed.severity, failed.trace_id) == ("failed", "ERROR", "")
    assert failed.attributes["exception.type"] == "ValueError"
    assert "test_telemetry.py" in failed.attributes["exception.stacktrace"]
    assert (theirs.event, theirs.severity) == ("took 4 s", "WARNING")


@pytest.fixture
def log_format() -> Literal["json", "console"]:
    return "json"


@pytest.fixture
def log(log_format: Literal["json", "console"]) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logging(Settings(log_format=log_format), stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(log: io.StringIO) -> list[dict[str, object]]:
    # An exporter thread of another test may still have a word to say.
    every = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in every if not line["logger"].startswith(("opentelemetry", "urllib3"))]


def test_our_lines_and_the_libraries_are_one_json_log_with_trace_ids(log: io.StringIO, seen: Seen) -> None:
    batch = BatchTrace.start(seen.telemetry.tracer, "t", 0)
    with batch.step("flush") as span:
        structlog.get_logger("metering").info("flushed", partition=3, records=7)
        logging.getLogger("asyncpg").warning("took %d s", 4)
    context = span.get_span_context()
    ours, theirs = lines(log)
    assert (ours["event"], ours["level"], ours["partition"], ours["records"]) == ("flushed", "info", 3, 7)
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("took 4 s", "warning", "asyncpg")
    for line in (ours, theirs):
        assert line["trace_id"] == format_trace_id(context.trace_id) == batch.trace_id
        assert line["span_id"] == format_span_id(context.span_id)


def test_chatty_libraries_are_quiet_and_exceptions_are_one_line(log: io.StringIO) -> None:
    logging.getLogger("aiokafka.consumer").info("joined")
    try:
        raise ValueError("bad")  # noqa: TRY301 - it must be raised to have a traceback
    except ValueError:
        structlog.get_logger("metering").exception("failed")
    (line,) = lines(log)
    assert line["event"] == "failed"
    assert "ValueError" in json.dumps(line["exception"])


def test_outside_a_span_a_line_has_no_trace_id(log: io.StringIO) -> None:
    BatchTrace.start(NoOpTracerProvider().get_tracer("x"), "t", 0)
    structlog.get_logger("metering").info("started")
    assert "trace_id" not in lines(log)[0]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_says_where_and_not_what_was_in_variables(log: io.StringIO) -> None:
    def connect(_dsn: str) -> None:
        raise ConnectionError("refused")

    try:
        connect("postgres://metering:" + "secret".upper())
    except ConnectionError:
        structlog.get_logger("metering").exception("not_connected")
    assert "in connect" in log.getvalue() or '"name": "connect"' in log.getvalue()
    assert "SECRET" not in log.getvalue()
