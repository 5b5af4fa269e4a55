"""The database as a server: what must be so before anything in it can be relied on."""

import time
from typing import Final

from aggregator.health.severity import Severity
from aggregator.store import load
from aggregator.store import server as store
from aggregator.store.connection import Connection
from aggregator.store.server import Server
from metering.doctor.check import Check, Result, found, holds, judged
from metering.texts import time_text
from schemas.catalog import Meter

OLDEST_POSTGRES: Final = 16
NEWEST_POSTGRES: Final = 18
SKEW_S: Final = 1.0
SLOW_S: Final = 0.1
"""A flush has about ten statements, each of which waits for the one before."""

WAITED_US: Final = 1_000_000
"""Locks of ours are held for as long as a flush takes."""

_TRIES: Final = 3
_LOSES_COMMITS: Final = "off"

POSTGRES_VERSION: Final = Check(
    "postgres_version",
    Severity.WARNING,
    f"The database is Postgres {OLDEST_POSTGRES} to {NEWEST_POSTGRES}, which this release was tested with.",
    "Move to a supported version; until then take no upgrade of this package without a rehearsal.",
)
DURABILITY: Final = Check(
    "durability",
    Severity.CRITICAL,
    "A commit that was confirmed outlives a crash of the database.",
    "Turn fsync, full_page_writes and synchronous_commit on for this database and its roles.",
)
GRANTS: Final = Check(
    "grants",
    Severity.CRITICAL,
    "Roles may do what they are there for, and nobody but the owner may change what is kept for good.",
    "Grant or revoke what the rows name, as the migrations do; find out who changed it.",
)
CATALOG: Final = Check(
    "catalog",
    Severity.CRITICAL,
    "Every meter version in the catalog can be read by this release.",
    "Run the release that applied it, or a newer one.",
)
CLOCK_SKEW: Final = Check(
    "clock_skew",
    Severity.WARNING,
    f"This machine's clock and the database's agree within {SKEW_S:.0f} s.",
    "Look at `chronyc tracking` on both machines: a worker whose clock is wrong stops with `clock_jump`.",
)
SPEED: Final = Check(
    "speed",
    Severity.INFO,
    f"The database answers a statement that does nothing within {SLOW_S * 1000:.0f} ms.",
    "Look at the network between, at the database's load, and at what its sessions wait for.",
)
BLOCKING: Final = Check(
    "blocking",
    Severity.INFO,
    "No session waits for a lock that another one keeps.",
    "If nobody needs it, end it with `SELECT pg_terminate_backend(PID)`: what waits goes on by itself.",
)
CHECKS: Final = (POSTGRES_VERSION, DURABILITY, GRANTS, CATALOG, CLOCK_SKEW, SPEED, BLOCKING)


async def examine(connection: Connection) -> list[Result]:
    """Look at the server, the roles and the catalog."""
    server = await store.server(connection)
    grants = [one._asdict() for one in await store.wrong_grants(connection)]
    return [
        _version(server),
        _durability(server),
        judged(GRANTS, grants),
        await _catalog(connection),
        await _skew(connection),
        await _speed(connection),
        await _blocking(connection),
    ]


def _version(server: Server) -> Result:
    if OLDEST_POSTGRES <= server.major <= NEWEST_POSTGRES:
        return holds(POSTGRES_VERSION, f"Postgres {server.version}.")
    return found(
        POSTGRES_VERSION, f"The database is Postgres {server.version}: not tested with this release."
    )


def _durability(server: Server) -> Result:
    names = ("fsync", "full_page_writes", "synchronous_commit")
    rows = [
        {"setting": name, "found": getattr(server, name), "wanted": "on"}
        for name in names
        if getattr(server, name) == _LOSES_COMMITS
    ]
    return judged(DURABILITY, rows, "A crash of the database may take back commits that were confirmed.")


async def _catalog(connection: Connection) -> Result:
    catalog = await load.catalog(connection)
    rows = []
    for one in catalog.versions:
        try:
            Meter.from_definition(one.definition)
        except ValueError as error:
            rows.append({"meter": one.meter, "version": one.version, "error": str(error)})
    return judged(CATALOG, rows, well=f"Head {catalog.head}, {len(catalog.versions)} meter versions.")


async def _skew(connection: Connection) -> Result:
    before_us = time.time_ns() // 1000
    there_us = await store.clock_us(connection)
    after_us = time.time_ns() // 1000
    # Between the two looks at our clock nothing is known: only what lies outside of them is skew.
    skew_s = max(there_us - after_us, before_us - there_us, 0) / 1e6
    if skew_s <= SKEW_S:
        return holds(CLOCK_SKEW)
    return found(CLOCK_SKEW, f"The database's clock is {skew_s:.1f} s from this machine's.")


async def _speed(connection: Connection) -> Result:
    took_s = []
    for _ in range(_TRIES):
        began_s = time.monotonic()
        await store.clock_us(connection)
        took_s.append(time.monotonic() - began_s)
    least_s = min(took_s)
    if least_s <= SLOW_S:
        return holds(SPEED)
    return found(
        SPEED, f"The database takes {least_s * 1000:.0f} ms to answer a statement that does nothing."
    )


async def _blocking(connection: Connection) -> Result:
    rows = [
        {
            "pid": one.pid,
            "login": one.login,
            "application": one.application,
            "state": one.state,
            "since": time_text(one.since_us),
            "waiting": one.waiting,
        }
        for one in await store.blocking(connection, WAITED_US)
    ]
    return judged(BLOCKING, rows, "A session keeps a lock for which others wait.")
