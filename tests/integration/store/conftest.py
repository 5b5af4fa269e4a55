"""A migrated schema that counts a topic of two partitions with a meter of every aggregation."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from integration.store.batches import KINDS, METERS
from integration.store.counting import Store
from support.stack import Stack

from aggregator.applying.catalog_plan import plan
from aggregator.store import catalog, load, migrate, topic
from aggregator.store.connection import Connection, StoreOptions, connect
from schemas.topic import TopicContract

CONTRACT = TopicContract(name="usage.events", partitions=2)
Connect = Callable[..., Awaitable[Connection]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_database(stack: Stack) -> AsyncIterator[str]:
    """One database for all of these tests, each of which has a schema of its own: that is made in no time."""
    name = f"store_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(stack.postgres_dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        yield stack.database_dsn(name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture
def schema() -> str:
    return f"test_{uuid.uuid4().hex[:12]}"


@pytest_asyncio.fixture
async def connected(shared_database: str, schema: str) -> AsyncIterator[Connect]:
    """`await connected(role="metering_worker")`: connections to the test's schema, closed after it."""
    made: list[Connection] = []

    async def make(**options: Any) -> Connection:
        connection = await connect(shared_database, StoreOptions(**{"schema": schema, **options}))
        made.append(connection)
        return connection

    yield make
    for connection in made:
        connection.terminate()


@pytest_asyncio.fixture
async def migrated(connected: Connect) -> Connection:
    """A superuser's connection to a migrated, empty schema."""
    connection = await connected()
    await migrate.up(connection)
    return connection


@pytest_asyncio.fixture
async def store(connected: Connect, migrated: Connection, shared_database: str, schema: str) -> Store:
    """The schema with its topic and catalog, and a worker that has claimed both partitions."""
    await topic.apply(migrated, CONTRACT, {0: 0, 1: 100})
    rules = await load.topic_rules(migrated)
    async with catalog.exclusive(migrated) as state:
        planned = plan(state.catalog.versions, METERS, state.frontiers_us.values(), rules)
        assert not planned.errors
        by_name = {change.meter: change for change in planned.effects}
        await catalog.insert_versions(migrated, [by_name[meter.name] for meter in METERS], "tests")
    worker = await connected(role="metering_worker")
    store = Store(shared_database, schema, migrated, worker, KINDS)
    await store.claim()
    return store
