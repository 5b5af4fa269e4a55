"""The money at risk in all usage that nobody pays for, in one sum."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from aggregator.rating.refused import Money
from aggregator.store import unrated
from aggregator.store.connection import Connection
from aggregator.store.reading import Stretch
from aggregator.store.terms import RatingCatalog

_PAGE: Final = 500
MOST_READ: Final = 5_000
"""Rows of `metering unrated` priced at most: the rest is not estimated."""


class UnratedMoney(NamedTuple):
    """What events that nobody pays for would cost, and how many of them have a price."""

    money: Sequence[Money]
    estimated_events: int


async def at_risk(connection: Connection, catalog: RatingCatalog) -> UnratedMoney:
    """Add up what `metering unrated` shows; call it outside of any transaction, once in some minutes."""
    query = unrated.Query(catalog.meters, None, None, Stretch(None, None))
    found: dict[str, Money] = {}
    events = read = 0
    after = None
    while read < MOST_READ:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            page = await unrated.page(connection, query, after, _PAGE)
            rows = await unrated.estimated(connection, catalog.meters, catalog.plans, page.rows)
        for row in rows:
            events += row.usage.events if row.at_risk else 0
            for one in row.at_risk:
                so_far = found.get(one.currency, Money(one.currency, Fraction(0), Fraction(0)))
                found[one.currency] = Money(one.currency, so_far.least + one.least, so_far.most + one.most)
        read += len(rows)
        after = page.end
        if after is None:
            break
    return UnratedMoney([found[currency] for currency in sorted(found)], events)
