"""Where a range of the log can begin: said before anything is made, and what to choose instead."""

from collections.abc import Iterable, Sequence

from aggregator.catalog import StoredVersion
from aggregator.log_range import unaligned
from aggregator.store import log_range
from aggregator.store.connection import Connection
from aggregator.store.replay import Source
from metering.errors import StoppedError, UsageError
from metering.replay.checking import LogStartGoneError
from schemas.instant import format_time


def check_since(source: Source, catalogs: Iterable[Sequence[StoredVersion]], since_us: int) -> None:
    """Is this an instant that a range can begin at?

    Raises:
        UsageError: it cuts a window (`since_unaligned`), or nothing so late was counted
            (`since_not_counted`).
    """
    cut = sorted({one for versions in catalogs for one in unaligned(versions, since_us)})
    if cut:
        meter, window = cut[0]
        raise UsageError(
            "since_unaligned",
            f"{format_time(since_us)} is within a window of {meter}, of {window}, and of {len(cut) - 1} "
            f"other meters: choose a boundary of all windows, such as midnight, UTC.",
        )
    frontiers_us = [one.claimed.frontier_us for one in source.partitions]
    latest_us = max((frontier for frontier in frontiers_us if frontier is not None), default=None)
    if latest_us is None or since_us >= latest_us:
        until = "nothing" if latest_us is None else f"the log up to {format_time(latest_us)}"
        raise UsageError(
            "since_not_counted", f"{until} is counted: no window begins at {format_time(since_us)} or later."
        )


async def naming_the_earliest(counted: Connection, source: Source, gone: LogStartGoneError) -> StoppedError:
    """The refusal, with what can be done instead.

    Args:
        counted: to the schema that counted.
        source: taken from it, whole.
        gone: the refusal.
    """
    since_us = await log_range.earliest(counted, source, gone.beginnings)
    if since_us is None:
        instead = "too little has been counted behind that for a range"
    else:
        instead = f"--since {format_time(since_us)} or later can be"
    return StoppedError(gone.code, f"{gone.sentence}; {instead}.")
