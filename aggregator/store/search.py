"""What people look for: customers by a part of a name, their newest bills, and what lies behind one."""

from collections.abc import Collection
from typing import NamedTuple

from aggregator.store.connection import BEGINNING_US, END_US, Connection
from aggregator.store.explanation import Scope
from aggregator.store.rated import Version
from aggregator.store.statements import STATEMENTS


class FoundCustomer(NamedTuple):
    """A customer, and how many of its subscriptions match."""

    customer: str
    subscriptions: int


class Behind(NamedTuple):
    """Windows of one meter version in one partition, or what stands beside them."""

    meter_version_id: int
    partition: int
    kind: str  # window, late, void, correction
    rows: int
    events: int
    first_offset: int
    last_offset: int


async def customers(
    connection: Connection, part: str, among: Collection[str] | None, limit: int
) -> list[FoundCustomer]:
    """Customers whose name, subscriptions or subjects contain a text; `among` None: of all."""
    only = None if among is None else list(among)
    return [
        FoundCustomer(*row)
        for row in await connection.fetch(STATEMENTS["search_customers"], part, only, limit)
    ]


async def newest_periods(connection: Connection, subscriptions: Collection[str], limit: int) -> list[Version]:
    """The newest version of the last rated periods of each subscription, the latest first."""
    rows = await connection.fetch(STATEMENTS["newest_periods_of"], list(subscriptions), limit)
    return [Version(*row) for row in rows]


async def behind(connection: Connection, scope: Scope, cut_us: int) -> list[Behind]:
    """What a rated total rests on: its windows, and what stood beside them at its cut."""
    rows = await connection.fetch(
        STATEMENTS["offsets_behind"],
        list(scope.meter_version_ids),
        list(scope.subjects),
        BEGINNING_US if scope.from_us is None else scope.from_us,
        END_US if scope.to_us is None else scope.to_us,
        cut_us,
    )
    return [Behind(*row) for row in rows]
