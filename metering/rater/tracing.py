"""A span of what one transaction has rated, with links to the spans of the batches that it rests on."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from opentelemetry.trace import Span, SpanContext, TraceFlags

from aggregator.store import rating
from aggregator.store.connection import Connection
from aggregator.store.rating import BatchSpan, Done
from aggregator.store.terms import RatingCatalog
from metering.process.exclusive import Turn

MAX_PERIODS: Final = 8
MAX_LINKS: Final = 32


@asynccontextmanager
async def traced(
    turn: Turn, versions: str, began_s: float, done: Done, catalog: RatingCatalog
) -> AsyncIterator[None]:
    """Run the block in the span of what has been rated since `began_s` (monotonic)."""
    began_ns = time.time_ns() - int((time.monotonic() - began_s) * 1e9)
    with turn.tracer.start_as_current_span("rate", start_time=began_ns) as span:
        span.set_attributes({"metering.rated.versions": versions, "metering.rated.count": done.versions})
        yield
        await _link_batches(span, turn.connection, done, catalog)


async def _link_batches(span: Span, connection: Connection, done: Done, catalog: RatingCatalog) -> None:
    """Link to at most 32 batches, of at most 8 of the periods: it must cost nothing beside the rating."""
    if not span.is_recording():
        return
    found: set[BatchSpan] = set()
    for period in done.written[:MAX_PERIODS]:
        if len(found) < MAX_LINKS:
            found.update(await rating.batch_spans(connection, period, catalog, MAX_LINKS - len(found)))
    for batch in sorted(found):
        span.add_link(_context(batch))


def _context(batch: BatchSpan) -> SpanContext:
    return SpanContext(
        int(batch.trace_id, 16),
        int(batch.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
