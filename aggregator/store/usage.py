"""What subjects used, read for many questions at once by a fixed number of statements."""

from collections.abc import Iterable, Sequence
from typing import Any

from aggregator.rating.usage import Asked, Groups, Members, Point, Sum, Window
from aggregator.store.connection import END_US, Connection
from aggregator.store.statements import STATEMENTS


async def sums(connection: Connection, asked: Sequence[Asked]) -> list[Sum]:
    """What each series comes to in its whole range; series without usage are not told of."""
    rows = await _fetch(connection, "usage_sums", asked, with_aggregation=True)
    return [Sum(row[0], row[1], _groups(row[2]), *row[3:]) for row in rows]


async def windows(connection: Connection, asked: Sequence[Asked]) -> list[Window]:
    """What each series comes to in each window that has usage."""
    rows = await _fetch(connection, "usage_windows", asked, with_aggregation=True)
    return [Window(row[0], row[1], _groups(row[2]), *row[3:]) for row in rows]


async def members(connection: Connection, asked: Sequence[Asked]) -> list[Members]:
    """What series of `unique` meters have seen in their ranges."""
    rows = await _fetch(connection, "usage_members", asked)
    return [Members(row[0], row[1], _groups(row[2]), frozenset(row[3])) for row in rows]


async def points(connection: Connection, asked: Sequence[Asked]) -> list[Point]:
    """The points of series of `gauge` meters, without those that a void took away; by series, in order."""
    rows = await _fetch(connection, "usage_points", asked)
    return [Point(row[0], row[1], _groups(row[2]), *row[3:]) for row in rows]


async def _fetch(
    connection: Connection, name: str, asked: Sequence[Asked], *, with_aggregation: bool = False
) -> Iterable[Any]:
    if not asked:
        return ()
    columns: list[Sequence[Any]] = list(zip(*asked, strict=True))
    columns[5] = [END_US if cut_us is None else cut_us for cut_us in columns[5]]
    return await connection.fetch(STATEMENTS[name], *(columns if with_aggregation else columns[:6]))


def _groups(values: Sequence[str | None] | None) -> Groups:
    return None if values is None else tuple(values)
