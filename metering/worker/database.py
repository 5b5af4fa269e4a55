"""The worker's connections: one per line of work, left behind at the first doubt and made again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aggregator.store.connection import Connection, StoreOptions, connect
from aggregator.store.errors import StoreError, UnknownOutcome
from metering.settings import Settings
from metering.telemetry import Instruments, catalogue


class Line:
    """One connection, made when it is first needed, for one user at a time.

    Whatever leaves its state in doubt ends it with `terminate`, which waits for nobody: a server that is
    frozen would never answer a polite goodbye.
    """

    def __init__(self, name: str, dsn: str, options: StoreOptions, instruments: Instruments) -> None:
        self._name = name
        self._dsn = dsn
        self._options = options
        self._instruments = instruments
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """The connection; after an error that is not the store's own refusal it is not used again.

        Raises:
            OSError, TimeoutError, asyncpg.PostgresError: there is none, and none can be made.
        """
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                self._connection = await connect(self._dsn, self._options)
                self._instruments.add(catalogue.CONNECTIONS, line=self._name)
            try:
                yield self._connection
            except BaseException as error:
                if not isinstance(error, StoreError) or isinstance(error, UnknownOutcome):
                    self.terminate()
                raise

    def terminate(self) -> None:
        """End the connection without a word."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


class Database:
    """The lines of one process: nothing that may take long stands before a flush."""

    def __init__(self, settings: Settings, instruments: Instruments) -> None:
        self._dsn = settings.postgres_dsn.get_secret_value()
        self._options = StoreOptions(
            schema=settings.postgres_schema,
            role=settings.postgres_role,
            application_name=f"metering worker {settings.instance}",
            statement_timeout_s=settings.statement_timeout_s,
            lock_timeout_s=settings.lock_timeout_s,
            # A worker that is frozen in the middle of a flush loses its locks when it loses its partitions.
            idle_in_transaction_timeout_s=settings.session_timeout_s,
        )
        # Used in the flusher's own loop alone.
        self.flushes = Line("flushes", self._dsn, self._options, instruments)
        self.loads = Line("loads", self._dsn, self._options, instruments)
        self.chores = Line("chores", self._dsn, self._options, instruments)
        self.outbox = Line("outbox", self._dsn, self._options, instruments)

    @asynccontextmanager
    async def fresh(self) -> AsyncIterator[Connection]:
        """A connection of its own, for asking what became of a commit on another.

        Raises:
            OSError, TimeoutError, asyncpg.PostgresError: none can be made.
        """
        connection = await connect(self._dsn, self._options)
        try:
            yield connection
        finally:
            connection.terminate()

    def terminate(self) -> None:
        """End every connection but that of flushes, which is its flusher's, without a word."""
        for line in (self.loads, self.chores, self.outbox):
            line.terminate()
