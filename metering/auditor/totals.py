"""All windows re-added against the second ledger; as seldom as it has to be where there are very many."""

import time
from collections.abc import Iterable, Sequence
from typing import Final

import asyncpg

from aggregator.health.finding import Finding
from aggregator.store import proof as store
from aggregator.store.connection import Connection
from aggregator.store.proof import Proof

SHARE: Final = 0.01
"""It takes no more than this share of the time, however large the tables have become."""

TIMEOUT_S: Final = 600.0


class Totals:
    """Sums that differ, as of the last time they were looked at."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self._open = list(findings)
        self._due_s = 0.0

    @property
    def open(self) -> Sequence[Finding]:
        """Sums that differed when they were last added up."""
        return self._open

    async def step(self, connection: Connection) -> Proof | None:
        """Add everything up, if it is time for that."""
        began_s = time.monotonic()
        if began_s < self._due_s:
            return None
        try:
            checked, self._open = await store.totals(connection, TIMEOUT_S)
            unreadable = 0
        except asyncpg.QueryCanceledError:
            checked, unreadable = len(self._open), 1
        ended_s = time.monotonic()
        self._due_s = ended_s + (ended_s - began_s) / SHARE
        return Proof("totals", checked, len(self._open), unreadable, self._open)
