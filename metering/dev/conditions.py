"""Waiting for something to become true, and never for time to pass."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

POLL_S: Final = 0.02


async def until(
    condition: Callable[[], Awaitable[bool]],
    *,
    deadline_s: float,
    while_: Callable[[], bool] = lambda: True,
) -> bool:
    """Wait for `condition`; False when it does not hold within `deadline_s`, or `while_` ends before."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end and while_():
        if await condition():
            return True
        await asyncio.sleep(POLL_S)
    return False
