"""When a Postgres is really there: it lets us in and answers."""

import asyncpg

_CONNECT_S = 5


async def accepts_queries(dsn: str) -> bool:
    """Tell whether the server at `dsn` answers; False while it is down, starting, stopping or frozen."""
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_S)
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
        return False
    await connection.close()
    return True
