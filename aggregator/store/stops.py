"""Partitions that their owners have set aside, for all to see."""

from typing import NamedTuple

from aggregator.store.connection import Connection
from aggregator.store.headers import storable
from aggregator.store.statements import STATEMENTS


class StandingStop(NamedTuple):
    """Why a partition is not counted any further, by the owner that claimed it with this epoch."""

    partition: int
    epoch: int
    offset: int
    code: str
    seen: str


async def record(connection: Connection, stop: StandingStop) -> None:
    """Let others know; nothing if another owner has claimed the partition meanwhile."""
    await connection.execute(STATEMENTS["insert_partition_stop"], *stop[:-1], storable(stop.seen))


async def record_topic(connection: Connection, *, code: str, seen: str, owner: str) -> None:
    """Let others know that no partition can be counted, but for those that others than `owner` count."""
    await connection.execute(STATEMENTS["insert_topic_stop"], code, storable(seen), owner)


async def standing(connection: Connection) -> list[StandingStop]:
    """Stops by those who own their partitions now."""
    return [StandingStop(*row) for row in await connection.fetch(STATEMENTS["standing_stops"])]
