"""A command's connection to the database, with every expected failure worded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from aggregator.store.connection import Connection, StoreOptions, connect
from metering.errors import MeteringError, UnreachableError, UsageError
from metering.settings import Settings, mask_password

_AWAY: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    OSError,
    TimeoutError,
)
_WORDED: Final = (*_AWAY, asyncpg.exceptions.ClientConfigurationError, asyncpg.PostgresError)


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[Connection]:
    """Connect to the schema of the settings, for one command.

    Raises:
        UnreachableError: the database does not answer (`postgres_unreachable`) or refuses the login, the role
            or a statement (`postgres_refused`).
        UsageError: the address is none (`settings_invalid`).
    """
    try:
        connection = await connect(settings.postgres_dsn.get_secret_value(), _options(settings))
        try:
            yield connection
        finally:
            await connection.close(timeout=1)
    except _WORDED as error:
        raise worded(settings, error) from error


def worded(settings: Settings, error: Exception) -> MeteringError:
    """What a person is told of an error of the database or of the way to it."""
    match error:
        case asyncpg.exceptions.ClientConfigurationError():
            return UsageError("settings_invalid", f"METERING_POSTGRES_DSN is no address: {error}.")
        case asyncpg.PostgresError() if not isinstance(error, _AWAY):
            return UnreachableError(
                "postgres_refused", f"The database {_where(settings)} refused ({error.sqlstate}: {error})."
            )
        case _:
            return UnreachableError(
                "postgres_unreachable",
                f"The database {_where(settings)} does not answer ({error or type(error).__name__}): set "
                "METERING_POSTGRES_DSN, or start a local stack with `metering dev up`.",
            )


def _options(settings: Settings) -> StoreOptions:
    return StoreOptions(
        schema=settings.postgres_schema,
        role=settings.postgres_role,
        application_name=f"metering {settings.instance}",
        statement_timeout_s=settings.statement_timeout_s,
        lock_timeout_s=settings.lock_timeout_s,
    )


def _where(settings: Settings) -> str:
    return mask_password(settings.postgres_dsn.get_secret_value())
