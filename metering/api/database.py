"""The API's connections: a pool, and a snapshot for each request that reads."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

from aggregator.store import migrate
from aggregator.store.connection import Connection, Pool, StoreOptions, make_pool
from metering.settings import Settings
from metering.telemetry import Instruments, catalogue

ACQUIRE_S: Final = 5.0
"""Longest wait for a connection: who hears `try again` is better off than who hears nothing."""

CLOSE_S: Final = 1.0


class Database:
    """Made before the first request, with or without a server that answers."""

    def __init__(self, settings: Settings, instruments: Instruments) -> None:
        options = StoreOptions(
            schema=settings.postgres_schema,
            role=settings.postgres_role,
            application_name=f"metering api {settings.instance}",
            statement_timeout_s=settings.statement_timeout_s,
            lock_timeout_s=settings.lock_timeout_s,
        )
        self._dsn = settings.postgres_dsn.get_secret_value()
        self._options = options
        self._size = settings.api_connections
        self._pool: Pool | None = None
        self._is_migrated = False
        self._instruments = instruments

    async def open(self) -> None:
        """Make the pool; it connects when it is first asked."""
        self._pool = await make_pool(self._dsn, self._options, self._size)

    async def close(self) -> None:
        """End every connection: politely for a moment, then without a word."""
        if self._pool is not None:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self._pool.close()
            except TimeoutError:
                self._pool.terminate()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """One snapshot of the database, in which nothing can be written.

        Raises:
            StoreError: the schema is not at this release.
            OSError, TimeoutError, asyncpg.PostgresError: the database does not answer or refuses.
        """
        async with (
            self.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection, for who makes transactions of its own; raises as `reading` does."""
        if self._pool is None:
            raise OSError("the pool is not open")
        async with self._lent(self._pool) as connection:
            if not self._is_migrated:
                await migrate.require_migrated(connection)
                self._is_migrated = True
            yield connection

    @asynccontextmanager
    async def _lent(self, pool: Pool) -> AsyncIterator[Connection]:
        began_s = time.monotonic()
        try:
            lent = await pool.acquire(timeout=ACQUIRE_S)
        finally:
            self._instruments.record(catalogue.API_CONNECTION_WAIT, time.monotonic() - began_s)
        try:
            self._measure(pool)
            yield cast("Connection", lent)  # it has everything that a connection has
        finally:
            await pool.release(lent)
            self._measure(pool)

    def _measure(self, pool: Pool) -> None:
        idle = pool.get_idle_size()
        self._instruments.set(catalogue.API_CONNECTIONS, idle, state="idle")
        self._instruments.set(catalogue.API_CONNECTIONS, pool.get_size() - idle, state="used")
