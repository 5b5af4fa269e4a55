"""Reads rated totals: versions without their documents, and the documents one by one."""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

import asyncpg

from aggregator.store.connection import Connection
from aggregator.store.statements import STATEMENTS


class Version(NamedTuple):
    """One immutable version of what a period comes to; times in microseconds."""

    subscription: str
    customer: str
    period_start_us: int
    period_end_us: int
    version: int
    cut_us: int
    currency: str
    amount: Decimal
    unrounded_amount: str
    difference: Decimal | None  # to the version before; None in the first
    digest: bytes  # SHA-256 of the document
    feed_position: int


async def subscriptions(connection: Connection) -> list[Version]:
    """The newest version of the newest rated period of each subscription, by name."""
    return _versions(await connection.fetch(STATEMENTS["newest_of_each_subscription"]))


async def periods(connection: Connection, subscription: str) -> list[Version]:
    """The newest version of each rated period of a subscription, in order of time."""
    return _versions(await connection.fetch(STATEMENTS["newest_of_each_period"], subscription))


async def versions(connection: Connection, subscription: str, period_start_us: int) -> list[Version]:
    """Every version of a period, the first one first; none if it is not rated."""
    return _versions(await connection.fetch(STATEMENTS["versions_of_period"], subscription, period_start_us))


async def document(
    connection: Connection, subscription: str, period_start_us: int, version: int
) -> str | None:
    """The document of a version, byte by byte as it was digested; None if there is no such version."""
    text: str | None = await connection.fetchval(
        STATEMENTS["rated_document"], subscription, period_start_us, version
    )
    return text


def _versions(rows: Iterable[asyncpg.Record]) -> list[Version]:
    return [Version(*row) for row in rows]
