"""Connections to one schema: bounded in every wait, with plans that do not change and times as integers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import msgspec

from schemas.instant import DAY_US

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

BEGINNING_US: Final = -(2**63) + 946_684_800_000_000
"""`-infinity` as a `timestamptz` carries it: before everything, "from the beginning" or "no record yet"."""

END_US: Final = 2**63 - 1 + 946_684_800_000_000
"""`infinity`: after everything."""

_Y2K_US: Final = 946_684_800_000_000  # Postgres counts from 2000-01-01
_CONNECT_TIMEOUT_S: Final = 10.0
_ANSWER_MARGIN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How long a connection may wait, and as whom it speaks."""

    schema: str = "metering"
    role: str | None = None
    application_name: str = "metering"
    statement_timeout_s: float = 30.0
    lock_timeout_s: float = 10.0
    idle_in_transaction_timeout_s: float = 30.0
    idle_timeout_s: float = 0.0  # of a connection that says nothing at all; 0: as long as it likes


def instant_us(us: int) -> int | None:
    """A stored time; None for `-infinity`."""
    return None if us == BEGINNING_US else us


def stored_us(us: int | None) -> int:
    """A time as it is stored: `-infinity` for None."""
    return BEGINNING_US if us is None else us


async def connect(dsn: str, options: StoreOptions) -> Connection:
    """One connection.

    Raises:
        OSError, TimeoutError, asyncpg.PostgresError: the database cannot be reached or does not let us in.
    """
    connection: Connection = await asyncpg.connect(dsn, **_arguments(options))
    await _set_types(connection)
    return connection


async def make_pool(dsn: str, options: StoreOptions, size: int) -> Pool:
    """Up to `size` connections, each made when it is first needed: the database need not answer yet."""
    return await asyncpg.create_pool(dsn, min_size=0, max_size=size, init=_set_types, **_arguments(options))


def _arguments(options: StoreOptions) -> dict[str, Any]:
    settings = {
        "search_path": options.schema,
        "application_name": options.application_name,
        "timezone": "UTC",
        # A plan that looks at this call's values could choose a sequential scan for a large batch; the
        # generic plan is always the one that the tests have explained.
        "plan_cache_mode": "force_generic_plan",
        "statement_timeout": _ms(options.statement_timeout_s),
        "lock_timeout": _ms(options.lock_timeout_s),
        "idle_in_transaction_session_timeout": _ms(options.idle_in_transaction_timeout_s),
        "idle_session_timeout": _ms(options.idle_timeout_s),
        # A worker that vanished must not hold its locks for the two hours that TCP takes by itself.
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
        "client_connection_check_interval": "5s",
    }
    if options.role is not None:
        settings["role"] = options.role
    return {
        "server_settings": settings,
        "timeout": _CONNECT_TIMEOUT_S,
        # The server ends a statement in time; only a server that is frozen or gone lets this pass.
        "command_timeout": options.statement_timeout_s + _ANSWER_MARGIN_S,
        "max_cached_statement_lifetime": 0,
    }


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))


async def _set_types(connection: Connection) -> None:
    await _set_type(connection, "timestamptz", "tuple", lambda us: (us - _Y2K_US,), lambda t: t[0] + _Y2K_US)
    await _set_type(connection, "interval", "tuple", lambda us: (0, 0, us), _interval_us)
    await _set_type(connection, "jsonb", "text", json_text, _json_value)


async def _set_type(
    connection: Connection, name: str, form: str, encode: Callable[[Any], Any], decode: Callable[[Any], Any]
) -> None:
    await connection.set_type_codec(name, schema="pg_catalog", encoder=encode, decoder=decode, format=form)


def _interval_us(interval: tuple[int, int, int]) -> int:
    months, days, us = interval
    if months:
        raise ValueError("a month has no fixed length")
    return days * DAY_US + us


_encode_json = msgspec.json.Encoder(decimal_format="number").encode


def json_text(value: object) -> str:
    """A value as JSON; pass it as text where asyncpg would take a list for an array of one more dimension."""
    return _encode_json(value).decode()


def _json_value(text: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads(text, parse_float=Decimal)
