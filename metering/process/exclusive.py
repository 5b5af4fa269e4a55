"""A duty that one process does at a time: others wait, and one goes on when it ends, dies or freezes.

Whose turn it is, is an advisory lock of the connection that does the work. So who has lost the connection has
lost the turn and cannot write any more, and there is nothing to clean up after a kill -9: the server sees the
end of the connection.

What is logged, under names that do not change, with its fields:

    waiting_for_turn    another process is at work [duty, holder]
    turn_taken          this one is, from now on [duty]
    turn_lost           the connection is; another may be at work now [duty]
    server_away         the database does not answer; tried again [server, work, waited_s, error]
    stopping            the first SIGTERM or SIGINT [signal]
    stopped             the last line [code: null or why, duty, steps]
"""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import asyncpg
import structlog
from opentelemetry.trace import NoOpTracer, Tracer

from aggregator.store import migrate, turns
from aggregator.store.connection import Connection, StoreOptions, connect
from aggregator.store.errors import StoreError
from metering.database import worded
from metering.errors import MeteringError
from metering.process.health import Readiness, probes
from metering.process.patience import Patience, database_passes
from metering.process.shutdown import Shutdown
from metering.settings import Settings
from metering.telemetry import Instruments, Telemetry, catalogue, start_telemetry
from metering.telemetry.kinds import Gauge, Process

log = structlog.get_logger(__name__)

TAKE_OVER_S: Final = 1.0
"""Who waits for a turn looks this often whether it is free."""

START_S: Final = 60.0
"""Longest wait for the database at the start, and with `once` at any time."""

INTERRUPTED: Final = 128 + signal.SIGINT

_OF_EACH_PROCESS: Final = frozenset(
    {catalogue.READY, catalogue.LAST_STEP, catalogue.SERVER_UP, catalogue.SERVER_SKEW}
)
"""What a process says of itself, whoever's turn it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """One stretch of being the one at work; what a duty remembers of the last one may be out of date."""

    connection: (
        Connection  # it holds the turn: only what is written through it is sure to be written by its holder
    )
    instruments: Instruments
    stopping: asyncio.Event  # set when a long step should come to an end
    tracer: Tracer = field(default_factory=NoOpTracer)


class Duty(Protocol):
    """What is to be done, again and again."""

    @property
    def name(self) -> Process:
        """Names the duty, its lock and its process: `closer`."""

    @property
    def interval_s(self) -> float:
        """The pause after a step that left nothing to do."""

    async def step(self, turn: Turn) -> bool:
        """Do one step, in transactions of its own; whether there is more to do at once."""

    async def is_done(self, connection: Connection) -> bool:
        """Whether all is done that there was to do when this was asked first.

        Asked by a single run while another process is at work: then nothing is left for it to do.
        """


Beside = Callable[[Instruments], Coroutine[Any, Any, None]]
"""What a process does all the while, whoever's turn it is, until it is cancelled."""


async def run_exclusively(
    settings: Settings, duty: Duty, *, once: bool = False, beside: Beside | None = None
) -> int:
    """Do a duty whenever it is this process's turn, until SIGTERM: the whole of a process.

    Args:
        settings: of this process.
        duty: what to do.
        once: end when nothing is left to do, whoever has done it.
        beside: what else it does; then a database that is away when this begins is waited for like later.

    Returns:
        0, the exit code; 130 if `once` was interrupted before it was done.

    Raises:
        UnreachableError: the database does not answer when this begins, or refuses.
        StoreError: the schema is not set up.
    """
    shutdown = Shutdown()
    shutdown.listen()
    return await serve(settings, duty, shutdown, once=once, beside=beside)


async def serve(
    settings: Settings, duty: Duty, shutdown: Shutdown, *, once: bool = False, beside: Beside | None = None
) -> int:
    """Do a duty until told to stop; see `run_exclusively`."""
    telemetry = start_telemetry(settings, duty.name)
    readiness = Readiness(duty.name, telemetry.instruments)
    start_s = None if beside is not None and not once else START_S
    exclusive = _Exclusive(settings, duty, shutdown, readiness, telemetry, start_s, once=once)
    code: str | None = None
    try:
        async with probes(settings, readiness.told, telemetry), _doing(beside, telemetry.instruments):
            is_done = await exclusive.run()
    except BaseException as error:
        code = error.code if isinstance(error, (MeteringError, StoreError)) else type(error).__name__
        raise
    finally:
        log.log(
            logging.INFO if code is None else logging.ERROR,
            "stopped",
            code=code,
            duty=duty.name,
            steps=exclusive.steps,
        )
        telemetry.close()
    return 0 if is_done or not once else INTERRUPTED


class _Exclusive:
    """One process's part in a duty."""

    def __init__(
        self,
        settings: Settings,
        duty: Duty,
        shutdown: Shutdown,
        readiness: Readiness,
        telemetry: Telemetry,
        start_s: float | None,
        *,
        once: bool,
    ) -> None:
        self.steps = 0
        self._start_s = start_s
        self._settings = settings
        self._duty = duty
        self._once = once
        self._stopping = shutdown.requested
        self._readiness = readiness
        self._instruments = telemetry.instruments
        self._tracer = telemetry.tracer
        self._patience = Patience("database", database_passes, readiness, telemetry.instruments)
        self._step_lock = asyncio.Lock()
        self._deadline: asyncio.Timeout | None = None

    async def run(self) -> bool:
        """Do the duty until told to stop, a step under way to its end; whether it was done before that."""
        self._instruments.set(catalogue.AT_WORK, 0, duty=self._duty.name)
        doing = asyncio.create_task(self._do())
        told = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((doing, told), return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                # Between two steps nothing is written, so that is where it may be cancelled.
                async with self._step_lock:
                    doing.cancel()
                    await asyncio.wait((doing,))
            return await _unless_cancelled(doing)
        finally:
            told.cancel()
            doing.cancel()
            await asyncio.wait((told, doing))

    async def _do(self) -> None:
        """Take turns until there is nothing to do, or for ever."""
        try:
            async with asyncio.timeout(self._start_s) as self._deadline:
                await self._patience.until_done(self._duty.name, self._attempt)
        except TimeoutError as error:
            away = TimeoutError(f"no answer within {START_S:.0f} s")
            raise worded(self._settings, away) from error

    async def _attempt(self) -> None:
        """Connect, wait for the turn, and work for as long as the connection lives.

        Raises:
            Exception: the connection or the database failed; if that may pass, this is called again.
        """
        async with self._connected() as connection:
            if await self._wait_for_turn(connection):
                await self._work(Turn(connection, self._instruments, self._stopping, self._tracer))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        if self._once and self._deadline is not None and self._deadline.when() is None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + START_S)
        with self._refusals_worded():
            connection = await connect(self._settings.postgres_dsn.get_secret_value(), self._options())
        try:
            with self._refusals_worded():
                await migrate.require_migrated(connection)
            if self._deadline is not None:
                self._deadline.reschedule(None)
            yield connection
        finally:
            connection.terminate()

    @contextmanager
    def _refusals_worded(self) -> Iterator[None]:
        """At the start a refusal is a wrong address, login or role: it does not pass, and is no bug."""
        try:
            yield
        except (asyncpg.PostgresError, asyncpg.exceptions.ClientConfigurationError) as error:
            if database_passes(error, 0):
                raise
            raise worded(self._settings, error) from error

    def _options(self) -> StoreOptions:
        settings = self._settings
        return StoreOptions(
            schema=settings.postgres_schema,
            role=settings.postgres_role,
            application_name=f"metering {self._duty.name} {settings.instance}",
            statement_timeout_s=settings.statement_timeout_s,
            lock_timeout_s=settings.lock_timeout_s,
            # A process that is frozen loses its turn, in the middle of a step or between two.
            idle_in_transaction_timeout_s=settings.session_timeout_s,
            idle_timeout_s=max(self._duty.interval_s, TAKE_OVER_S) + settings.session_timeout_s,
        )

    async def _wait_for_turn(self, connection: Connection) -> bool:
        """Wait until it is this process's turn; False if nothing is left to do before that."""
        said: turns.Holder | None = None
        while not await turns.take(connection, self._duty.name):
            holder = await turns.holder(connection, self._duty.name)
            if holder is not None and holder != said:
                said = holder
                log.info("waiting_for_turn", duty=self._duty.name, holder=holder.name)
            self._is_well(is_at_work=False)
            if self._once and await self._duty.is_done(connection):
                return False
            await asyncio.sleep(TAKE_OVER_S)
        self._instruments.add(catalogue.TURNS, duty=self._duty.name)
        log.info("turn_taken", duty=self._duty.name)
        return True

    async def _work(self, turn: Turn) -> None:
        try:
            while True:
                async with self._step_lock:
                    has_more = await self._duty.step(turn)
                self.steps += 1
                self._instruments.set(catalogue.LAST_STEP, time.time(), duty=self._duty.name)
                self._is_well(is_at_work=True)
                if self._once and not has_more:
                    return
                await asyncio.sleep(0 if has_more else self._duty.interval_s)
        except Exception:
            log.warning("turn_lost", duty=self._duty.name)
            raise
        finally:
            self._forget()

    def _forget(self) -> None:
        """Another may be at work from now on: what only that one knows is not reported any more."""
        for gauge in catalogue.CATALOGUE:
            if not isinstance(gauge, Gauge) or gauge in _OF_EACH_PROCESS:
                continue
            if self._duty.name in gauge.of:
                self._instruments.replace(gauge, ())
        self._instruments.set(catalogue.AT_WORK, 0, duty=self._duty.name)

    def _is_well(self, *, is_at_work: bool) -> None:
        """Who waits for a turn is ready too: it does what it is there for."""
        self._readiness.clear(self._duty.name)
        self._readiness.clear("database")
        self._instruments.set(catalogue.AT_WORK, int(is_at_work), duty=self._duty.name)


@asynccontextmanager
async def _doing(beside: Beside | None, instruments: Instruments) -> AsyncIterator[None]:
    """Do it for as long as the block runs."""
    task = None if beside is None else asyncio.create_task(beside(instruments))
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))


async def _unless_cancelled(doing: "asyncio.Task[None]") -> bool:
    """Whether a task that has ended came to its end."""
    if doing.cancelled():
        return False
    await doing
    return True
