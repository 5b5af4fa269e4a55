"""The feed: what a billing engine reads once and in order.

A sequence alone would not do: a transaction may take 7 and commit after another took 8 and committed, and a
reader who saw 8 would never come back for 7. Here a position is taken by updating the one row of `feed_head`,
whose lock is held until the transaction has ended. So positions become visible in their order, and a rollback
leaves no gap.
"""

from collections.abc import Collection, Sequence
from typing import Final, Literal, NamedTuple

from aggregator.store.connection import Connection
from aggregator.store.statements import STATEMENTS

Kind = Literal["rated_total", "threshold"]
KINDS: Final[tuple[Kind, ...]] = ("rated_total", "threshold")


class News(NamedTuple):
    """Something that the feed will tell of; `payload` is JSON text."""

    kind: Kind
    id: str  # unique within its kind
    customer: str
    subscription: str
    payload: str


class Entry(NamedTuple):
    """Something that the feed tells of."""

    position: int
    kind: Kind
    id: str
    customer: str
    subscription: str
    payload: str


async def append(connection: Connection, news: Sequence[News]) -> list[int]:
    """Add to the feed; call it as late as possible in the transaction that writes what the news are of.

    Returns:
        The position of each.

    Raises:
        asyncpg.UniqueViolationError: something of this kind and id was told before.
    """
    if not connection.is_in_transaction():
        raise RuntimeError("append to the feed within the transaction that it tells of")
    if not news:
        return []
    end: int = await connection.fetchval(STATEMENTS["take_feed_positions"], len(news))
    positions = list(range(end - len(news) + 1, end + 1))
    await connection.execute(STATEMENTS["insert_feed"], positions, *zip(*news, strict=True))
    return positions


async def read(
    connection: Connection,
    after: int,
    limit: int,
    *,
    customers: Collection[str] | None = None,
    kind: Kind | None = None,
) -> list[Entry]:
    """The next entries after a position (0: from the first), in order.

    Args:
        connection: any role may read this, within any transaction or none.
        after: the position of the last entry that the reader has.
        limit: at most so many.
        customers: only theirs; of all customers unless told.
        kind: only of this kind; of every kind unless told.
    """
    if customers is not None:
        kinds = KINDS if kind is None else (kind,)
        rows = await connection.fetch(
            STATEMENTS["read_feed_of_customers"], after, limit, sorted(set(customers)), kinds
        )
    elif kind is not None:
        rows = await connection.fetch(STATEMENTS["read_feed_of_kind"], after, limit, kind)
    else:
        rows = await connection.fetch(STATEMENTS["read_feed"], after, limit)
    return [Entry(*row) for row in rows]


async def end(connection: Connection) -> int:
    """The position of the last entry; 0 if there is none."""
    position: int = await connection.fetchval(STATEMENTS["feed_end"])
    return position


async def pushed(connection: Connection, topic: str) -> int:
    """The position up to which entries are known to lie in a topic; 0: none are."""
    position: int = await connection.fetchval(STATEMENTS["pushed_position"], topic)
    return position


async def mark_pushed(connection: Connection, topic: str, position: int) -> None:
    """Remember that every entry up to a position lies in a topic."""
    await connection.execute(STATEMENTS["move_pushed_position"], topic, position)
