"""Sends named statements, counts them and times their stages: what a flush costs is a metric."""

import time
from collections.abc import Sequence
from typing import Any

import asyncpg

from aggregator.store.connection import Connection
from aggregator.store.statements import STATEMENTS


class Sent:
    """One flush's way to the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reached_at_s = time.monotonic()
        self.statements = 0
        self.stage_s: dict[str, float] = {}

    def reached(self, stage: str) -> None:
        """A stage is over; it took what has gone by since the one before."""
        at_s = time.monotonic()
        self.stage_s[stage] = at_s - self._reached_at_s
        self._reached_at_s = at_s

    async def execute(self, name: str, *arguments: Any) -> str:  # noqa: ANN401 - whatever the statement takes
        """Run a statement; its command tag."""
        self.statements += 1
        return await self._connection.execute(STATEMENTS[name], *arguments)

    async def fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:  # noqa: ANN401
        """Run a statement; its rows."""
        self.statements += 1
        return await self._connection.fetch(STATEMENTS[name], *arguments)

    async def insert(self, name: str, rows: Sequence[Sequence[Any]], *arguments: Any) -> None:  # noqa: ANN401
        """Run a statement that takes an array per column, then `arguments`; nothing if there are no rows."""
        if rows:
            await self.execute(name, *zip(*rows, strict=True), *arguments)
