"""Worlds, each in a schema of its own of one database."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest_asyncio
from integration.rating.world import World
from support.stack import Stack

Worlds = Callable[..., Awaitable[World]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rating_database(stack: Stack) -> AsyncIterator[str]:
    connection = await asyncpg.connect(stack.postgres_dsn)
    try:
        await connection.execute("CREATE DATABASE rating_tests")
        yield stack.database_dsn("rating_tests")
        await connection.execute("DROP DATABASE rating_tests WITH (FORCE)")
    finally:
        await connection.close()


@pytest_asyncio.fixture
async def worlds(rating_database: str) -> AsyncIterator[Worlds]:
    """`await worlds(meters, now_us)`: a world of its own, gone after the test."""
    made: list[World] = []

    async def make(meters: str, now_us: int) -> World:
        world = await World.made(rating_database, f"test_{uuid.uuid4().hex[:12]}", meters, now_us)
        made.append(world)
        return world

    yield make
    for world in made:
        await world.close_connections()
