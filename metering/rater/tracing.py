"""A span of what one transaction has rated, which names the traces of the batches that it rests on."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from opentelemetry.trace import Span

from aggregator.store import rating
from aggregator.store.connection import Connection
from aggregator.store.rating import Done
from aggregator.store.terms import RatingCatalog
from metering.process.exclusive import Turn

MAX_PERIODS: Final = 8
MAX_TRACES: Final = 32

BATCH_TRACES: Final = "metering.batch.trace_ids"
"""The ledger keeps a batch's trace, and not its span: so they are named here, and not linked."""


@asynccontextmanager
async def traced(
    turn: Turn, versions: str, began_s: float, done: Done, catalog: RatingCatalog
) -> AsyncIterator[None]:
    """Run the block in the span of what has been rated since `began_s` (monotonic)."""
    began_ns = time.time_ns() - int((time.monotonic() - began_s) * 1e9)
    with turn.tracer.start_as_current_span("rate", start_time=began_ns) as span:
        span.set_attributes({"metering.rated.versions": versions, "metering.rated.count": done.versions})
        yield
        await _name_batches(span, turn.connection, done, catalog)


async def _name_batches(span: Span, connection: Connection, done: Done, catalog: RatingCatalog) -> None:
    """Name at most 32 traces, of at most 8 of the periods: it must cost nothing beside the rating."""
    if not span.is_recording():
        return
    found: set[str] = set()
    for period in done.written[:MAX_PERIODS]:
        if len(found) < MAX_TRACES:
            found.update(await rating.batch_traces(connection, period, catalog, MAX_TRACES - len(found)))
    span.set_attribute(BATCH_TRACES, sorted(found))
