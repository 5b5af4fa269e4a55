"""Duties that one process does at a time: a session's advisory lock says whose turn it is."""

from typing import NamedTuple

from aggregator.store.connection import Connection
from aggregator.store.statements import STATEMENTS


class Holder(NamedTuple):
    """Whose turn it is."""

    name: str  # the connection's application name
    pid: int  # of its server process


async def take(connection: Connection, duty: str) -> bool:
    """Take the turn for `duty`, if nobody has it; it is kept for as long as the connection lives.

    Does not wait: a statement that waits for a lock keeps the server from clearing away old rows. Through a
    pooler that shares sessions a turn means nothing.
    """
    taken: bool = await connection.fetchval(STATEMENTS["take_turn"], duty)
    return taken


async def holder(connection: Connection, duty: str) -> Holder | None:
    """Whose turn it is now; None if it is nobody's."""
    row = await connection.fetchrow(STATEMENTS["turn_holder"], duty)
    return None if row is None else Holder(row["application_name"], row["pid"])
