"""The database as a server: its version, what it promises of a commit, its clock, and who may do what."""

from typing import NamedTuple

from aggregator.store.connection import Connection
from aggregator.store.statements import STATEMENTS


class Server(NamedTuple):
    """What decides whether a confirmed commit outlives a crash, and whether this release knows the server."""

    version: str
    major: int
    fsync: str
    full_page_writes: str
    synchronous_commit: str


class WaitingWork(NamedTuple):
    """What closer and rater have to do."""

    closed_us: int | None  # when a close found something last; None: never
    due_periods: int  # that can be rated by what is closed


class WrongGrant(NamedTuple):
    """A privilege that a role lacks (`wanted`), or must not have."""

    role: str
    privilege: str
    object: str
    wanted: bool


class BlockingSession(NamedTuple):
    """A session that holds a lock for which others wait."""

    pid: int
    login: str | None
    application: str
    state: str | None  # None: not for this login to see, as `since_us`
    since_us: int | None  # when its transaction began
    waiting: int  # sessions


async def server(connection: Connection) -> Server:
    """The server that this connection leads to."""
    rows = await connection.fetch(STATEMENTS["server_settings"])
    found = {row["name"]: row["setting"] for row in rows}
    return Server(
        found["server_version"],
        int(found["server_version_num"]) // 10_000,
        found["fsync"],
        found["full_page_writes"],
        found["synchronous_commit"],
    )


async def blocking(connection: Connection, waited_us: int) -> list[BlockingSession]:
    """Sessions with locks for which others have waited for at least so long, the worst first."""
    rows = await connection.fetch(STATEMENTS["blocking_sessions"], waited_us)
    return [BlockingSession(*row) for row in rows]


async def clock_us(connection: Connection) -> int:
    """What time it is, by the server's clock."""
    now_us: int = await connection.fetchval(STATEMENTS["server_clock"])
    return now_us


async def waiting_work(connection: Connection) -> WaitingWork:
    """What waits for the closer and the rater."""
    row = await connection.fetchrow(STATEMENTS["waiting_work"])
    return WaitingWork(None, 0) if row is None else WaitingWork(row["closed_at"], row["due_periods"])


async def wrong_grants(connection: Connection) -> list[WrongGrant]:
    """Privileges that are not as migrations made them; none means that all is well."""
    return [WrongGrant(*row) for row in await connection.fetch(STATEMENTS["wrong_grants"])]


class Burden(NamedTuple):
    """What weighs on the server."""

    size_bytes: int  # of the database
    wal_bytes: int  # of the server, since its statistics were reset
    oldest_transaction_us: int | None  # None: none is open, or may be seen


async def burden(connection: Connection) -> Burden:
    """Size of the database, and how long the oldest transaction has been open."""
    row = await connection.fetchrow(STATEMENTS["server_burden"])
    if row is None:
        return Burden(0, 0, None)
    return Burden(row["size_bytes"], row["wal_bytes"], row["oldest_transaction"])


async def dead_rows(connection: Connection) -> dict[str, int]:
    """Row versions that wait to be cleared away, by table; partitions by time count for their table."""
    rows = await connection.fetch(STATEMENTS["dead_rows"])
    return {row["table_name"]: row["rows"] for row in rows}
