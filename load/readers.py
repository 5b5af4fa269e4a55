"""Asks again and again, a few at a time, and keeps how long each answer took."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from http.client import HTTPConnection
from itertools import chain
from random import Random
from typing import Final, NamedTuple

from billing_workload import name

from aggregator.store import terms
from aggregator.store.connection import Connection, Pool
from aggregator.store.provisional import provisional

SELECT: Final = "SELECT next_period_start, due_at FROM subscription_rating WHERE subscription = $1"


class Latencies(NamedTuple):
    """How long some answers took, the shortest first."""

    ms: Sequence[float]

    def percentile(self, percent: int) -> float:
        """Nearest rank."""
        return self.ms[-(-percent * len(self.ms) // 100) - 1]


class HttpReader:
    """Provisional totals over HTTP, on connections that stay open."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self._address = host, port
        self._headers = {"authorization": f"Bearer {token}"}

    def connect(self) -> HTTPConnection:
        """For one reader at a time."""
        return HTTPConnection(*self._address, timeout=60)

    def read(self, connection: HTTPConnection, subscription: str) -> bytes:
        """The document.

        Raises:
            RuntimeError: another answer came.
        """
        connection.request("GET", f"/v1/subscriptions/{subscription}/provisional", headers=self._headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{subscription}: {answer.status} {body!r}")
        return body

    async def ask(self, readers: int, seconds: float, choices: Random, subscriptions: int) -> list[float]:
        """The milliseconds of each answer, of so many readers."""
        seeds = [choices.random() for _ in range(readers)]
        found = await asyncio.gather(
            *(asyncio.to_thread(self._ask, seconds, Random(seed), subscriptions) for seed in seeds)
        )
        return [*chain.from_iterable(found)]

    def _ask(self, seconds: float, choices: Random, subscriptions: int) -> list[float]:
        connection, end_s, found = self.connect(), time.perf_counter() + seconds, []
        while not found or time.perf_counter() < end_s:
            subscription = name(choices.randrange(subscriptions))
            began_s = time.perf_counter()
            self.read(connection, subscription)
            found.append((time.perf_counter() - began_s) * 1000)
        connection.close()
        return found


Read = Callable[[Connection, str], Awaitable[object]]


async def reads_provisional(pool: Pool) -> Read:
    """The store's function that HTTP answers with, the catalog kept as the API keeps it."""
    async with pool.acquire() as connection:
        kept = await terms.rating_catalog(connection)

    async def read(connection: Connection, subscription: str) -> object:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            catalog = await terms.rating_catalog(connection, kept)
            return await provisional(connection, catalog, subscription)

    return read


def reads_row() -> Read:
    """One row by its primary key."""
    return lambda connection, subscription: connection.fetchrow(SELECT, subscription)


async def ask_pool(
    pool: Pool, read: Read, readers: int, seconds: float, choices: Random, subscriptions: int
) -> list[float]:
    """The milliseconds of each answer, of so many readers with a connection each."""

    async def ask() -> list[float]:
        found: list[float] = []
        async with pool.acquire() as connection:
            end_s = time.perf_counter() + seconds
            while not found or time.perf_counter() < end_s:
                subscription = name(choices.randrange(subscriptions))
                began_s = time.perf_counter()
                await read(connection, subscription)
                found.append((time.perf_counter() - began_s) * 1000)
        return found

    return [*chain.from_iterable(await asyncio.gather(*(ask() for _ in range(readers))))]
