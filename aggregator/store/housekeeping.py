"""What keeps the ids small: chunks of a finished hour are merged, days nobody can need are dropped."""

from typing import Final

import asyncpg

from aggregator.store.connection import Connection
from aggregator.store.statements import STATEMENTS
from schemas.instant import HOUR_US

_MANY_CHUNKS: Final = 8
_PIECE_BYTES: Final = 4 * 1024 * 1024
"""About 260,000 ids: long enough to be read quickly, short enough that a few at once need little memory."""


async def compact_hour(connection: Connection, partition: int, hour: int, epoch: int) -> int:
    """Merge the chunks of one event hour (since the epoch), if there are many small ones.

    Does nothing under another epoch: the hour then is another owner's to merge.

    Returns:
        How many chunks were written in place of many; 0 if nothing was done.
    """
    rows = await connection.fetch(
        STATEMENTS["compact_hour"], partition, hour * HOUR_US, epoch, _MANY_CHUNKS, _PIECE_BYTES
    )
    return len(rows)


async def drop_days(connection: Connection) -> list[int]:
    """Drop days of ids whose end every frontier has passed by the repair horizon.

    A day that is being read is left for the next time: dropping would make flushes wait.

    Returns:
        The dropped days' starts, in microseconds.
    """
    dropped = []
    for (start_us,) in await connection.fetch(STATEMENTS["droppable_days"]):
        try:
            if await connection.fetchval(STATEMENTS["drop_dedupe_day"], start_us):
                dropped.append(start_us)
        except asyncpg.LockNotAvailableError:
            break
    return dropped
