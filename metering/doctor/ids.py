"""Stored ids, as far as they tell without the log; the rest is the auditor's (`metering.auditor.ids`)."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from aggregator.health.severity import Severity
from aggregator.memory import unpacked
from aggregator.store import ids as store
from aggregator.store import migrate
from aggregator.store.errors import StoreError
from aggregator.store.ids import Slice
from metering.database import database
from metering.doctor.check import Check, Result, found, holds, unknown
from metering.errors import MeteringError
from metering.settings import Settings
from metering.texts import time_text
from schemas.instant import HOUR_US

ID_ENTRIES: Final = Check(
    "id_entries",
    Severity.CRITICAL,
    "Stored ids are of their chunk's hour, and none of them is there twice.",
    "Stop the workers, and find out who changed these chunks: copies of their events would be counted again.",
)
CHECKS: Final = (ID_ENTRIES,)


async def examine(settings: Settings) -> list[Result]:
    """Look at parts of some chunks, at random: a megabyte at most."""
    try:
        async with database(settings) as connection:
            await migrate.require_migrated(connection)
            slices = await store.some_slices(connection)
    except (MeteringError, StoreError):
        return [unknown(ID_ENTRIES, "The database does not answer, or is not set up.")]
    looked_at = sum(len(one) for one in slices)
    parts = f"{looked_at:,} ids of {len(slices):,} chunks, chosen at random"
    rows = [row for one in slices if (row := wrong(one)) is not None]
    if rows:
        return [found(ID_ENTRIES, f"Some of {parts}, cannot be what was written there.", rows)]
    return [holds(ID_ENTRIES, f"{ID_ENTRIES.sentence} Looked at: {parts}.")]


def wrong(one: Slice) -> Mapping[str, Any] | None:
    """How a slice contradicts itself or its chunk; None: it does not."""
    high, low = unpacked(one.entries)
    of_other_hours = int(np.count_nonzero(low & np.uint64(0xFF) != np.uint64(one.hour & 0xFF)))
    identities = {(int(first), int(rest) >> 32) for first, rest in zip(high, low, strict=True)}
    twice = len(high) - len(identities)
    if not of_other_hours and not twice:
        return None
    return {
        "partition": one.partition,
        "event_hour": time_text(one.hour * HOUR_US),
        "first_offset": one.first_offset,
        "looked_at": len(one),
        "of_other_hours": of_other_hours,
        "twice": twice,
    }
