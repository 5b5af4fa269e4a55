"""One span per batch, linked to the spans of those who produced it, with a child span per step."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Self

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from aggregator.batch import LogRecord

MAX_LINKS: Final = 32
MAX_RECORDS_READ: Final = 256
_W3C: Final = TraceContextTextMapPropagator()


class BatchTrace:
    """The span of one batch of one partition.

    A batch outlives the call that began it (the next is fetched while it is flushed), so the span is held
    here and not in a `with`; `step` makes its child current while the step runs, so logs carry its ids.
    """

    def __init__(self, span: Span, tracer: Tracer) -> None:
        self._span = span
        self._tracer = tracer

    @classmethod
    def start(cls, tracer: Tracer, topic: str, partition: int | str, start_ns: int | None = None) -> Self:
        """Begin the span, now or at `start_ns` (Unix time, nanoseconds)."""
        # Attributes: https://opentelemetry.io/docs/specs/semconv/messaging/kafka/
        span = tracer.start_span(
            f"process {topic}",
            context=trace.set_span_in_context(trace.INVALID_SPAN),
            kind=SpanKind.CONSUMER,
            start_time=start_ns,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.type": "process",
                "messaging.destination.name": topic,
                "messaging.destination.partition.id": str(partition),
            },
        )
        return cls(span, tracer)

    @property
    def trace_id(self) -> str | None:
        """The id as 32 hexadecimal digits; None when nothing is traced."""
        context = self._span.get_span_context()
        return trace.format_trace_id(context.trace_id) if self._span.is_recording() else None

    @property
    def span_id(self) -> str | None:
        """The id within the trace as 16 hexadecimal digits; None when nothing is traced."""
        context = self._span.get_span_context()
        return trace.format_span_id(context.span_id) if self._span.is_recording() else None

    def link_producers(self, records: Sequence[LogRecord]) -> None:
        """Link to at most 32 producer spans, taken evenly from the records' `traceparent` headers."""
        if self._span.is_recording():
            for link in producer_links(records):
                self._span.add_link(link.context)

    def add_step(self, name: str, start_ns: int, end_ns: int, **attributes: AttributeValue) -> None:
        """Add a child span for a step that is over, such as `fetch`."""
        child = self._tracer.start_span(
            name, trace.set_span_in_context(self._span), start_time=start_ns, attributes=attributes
        )
        child.end(end_ns)

    @contextmanager
    def step(self, name: str, **attributes: AttributeValue) -> Iterator[Span]:
        """Run a step, such as `fold` or `flush`, in a child span; an exception marks it as failed."""
        with self._tracer.start_as_current_span(
            name, trace.set_span_in_context(self._span), attributes=attributes
        ) as child:
            yield child

    def fail(self, code: str) -> None:
        """Mark the batch as not counted, with the reason's code."""
        self._span.set_status(StatusCode.ERROR, code)

    def end(self, **attributes: AttributeValue) -> None:
        """End the span; a second call does nothing."""
        if self._span.is_recording():
            self._span.set_attributes(attributes)
            self._span.end(time.time_ns())


def producer_links(records: Sequence[LogRecord]) -> list[Link]:
    """Read at most 32 distinct producer spans from the records, evenly; reads 256 records at most.

    The header is W3C Trace Context's `traceparent` (https://www.w3.org/TR/trace-context/).
    """
    stride = max(1, -(-len(records) // MAX_RECORDS_READ))
    parents = {
        value: None
        for record in records[::stride]
        for name, value in record.headers
        if name == "traceparent" and value
    }
    contexts = [
        context
        for context in map(_span_context, parents)
        if context.is_valid  # a broken header links to nothing
    ]
    stride = max(1, -(-len(contexts) // MAX_LINKS))
    return [Link(context) for context in contexts[::stride]]


def _span_context(traceparent: bytes) -> trace.SpanContext:
    extracted = _W3C.extract({"traceparent": traceparent.decode("ascii", "replace")})
    return trace.get_current_span(extracted).get_span_context()
