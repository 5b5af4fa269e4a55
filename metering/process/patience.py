"""Waiting for a server that is away: try again, and say so in the log and in readiness."""

import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg
import stamina
import structlog
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from metering.process.health import Readiness
from metering.telemetry import Instruments, catalogue

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

WAIT_MAX_S: Final = 2.0
"""Longest pause between two attempts."""

MISSING_TOPIC_S: Final = 30.0
"""A broker that has just started may not know a topic yet; after this long, there is none."""

_DATABASE: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,  # the connection is closed, or in the middle of something
    asyncpg.InternalClientError,  # it was lost where asyncpg did not expect it
    asyncpg.PostgresConnectionError,  # class 08
    asyncpg.TransactionRollbackError,  # class 40: serialization, deadlock
    asyncpg.InsufficientResourcesError,  # class 53
    asyncpg.OperatorInterventionError,  # class 57: shutdown, starting up, statement timeout
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # a failover has not ended yet
)
_FORBIDDEN: Final = (GroupAuthorizationFailedError, TopicAuthorizationFailedError)


def database_passes(error: Exception, _waited_s: float) -> bool:
    """Whether the same work may succeed later, and has certainly not been done."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return True  # the server gets a certificate that is right
    # Any other ValueError among them is asyncpg refusing an argument of ours.
    return isinstance(error, _DATABASE) and not isinstance(error, ValueError)


def brokers_pass(error: Exception, waited_s: float) -> bool:
    """Whether the brokers may answer the same question later."""
    if isinstance(error, UnknownTopicOrPartitionError) and waited_s >= MISSING_TOPIC_S:
        return False
    return isinstance(error, (KafkaError, OSError, TimeoutError)) and not isinstance(error, _FORBIDDEN)


class Patience:
    """How this process waits for one kind of server."""

    def __init__(
        self,
        server: str,
        passes: Callable[[Exception, float], bool],
        readiness: Readiness,
        instruments: Instruments,
    ) -> None:
        self._server = server
        self._passes = passes
        self._readiness = readiness
        self._instruments = instruments

    async def until_done(self, what: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do the work, again and again for as long as its errors may pass.

        Raises:
            Exception: whatever does not pass by itself.
        """
        began_s = time.monotonic()

        def shall_wait(error: Exception) -> bool:
            waited_s = time.monotonic() - began_s
            if not self._passes(error, waited_s):
                return False
            log.warning(
                "server_away", server=self._server, work=what, waited_s=round(waited_s, 3), error=repr(error)
            )
            self._instruments.add(catalogue.AWAY, server=self._server)
            self._readiness.because(self._server, f"{what}: {error!r}")
            return True

        async for attempt in stamina.retry_context(
            on=shall_wait, attempts=None, timeout=None, wait_max=WAIT_MAX_S
        ):
            with attempt:
                result = await work()
        self._readiness.clear(self._server)
        return result
