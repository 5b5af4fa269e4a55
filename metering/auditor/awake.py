"""Waits for the brokers, and speaks to the database meanwhile: who says nothing for long loses the turn."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from aggregator.store import status
from aggregator.store.connection import Connection

MOMENT_S: Final = 0.5
"""Less than any session may be silent."""

Result = TypeVar("Result")


async def awake(connection: Connection, waiting: Coroutine[Any, Any, Result]) -> Result:
    """What is waited for; it must not use the connection itself."""
    task = asyncio.create_task(waiting)
    try:
        while not (await asyncio.wait((task,), timeout=MOMENT_S))[0]:
            await status.counted_topic(connection)
        return task.result()
    finally:
        task.cancel()
