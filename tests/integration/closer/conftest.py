"""A schema whose partitions stand where a test puts them, and closers that are processes."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
from integration.closer.partitions import Partitions
from support.processes import Commands


@pytest_asyncio.fixture
async def partitions(database: str, commands: Commands) -> AsyncIterator[Partitions]:
    made = await Partitions.make(database)
    commands.environment.update(made.environment)
    yield made
    await asyncio.to_thread(commands.kill_all)
    made.connection.terminate()
