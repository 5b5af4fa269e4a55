"""One look at the pipeline for all who watch its status: servers are asked once, whoever asks."""

import asyncio
import time
from typing import Final

from metering.api.console.freshness import Freshness
from metering.observer.look import Look, Looks
from metering.settings import Settings

FRESH_S: Final = 2.0
"""So long a look is shown; a page asks anew every five seconds."""


class Watch:
    """Looks when it is asked, and remembers what partitions' states are judged by."""

    def __init__(self, settings: Settings) -> None:
        self.freshness = Freshness()
        self._looks = Looks(settings)
        self._looking = asyncio.Lock()
        self._seen: Look | None = None
        self._seen_s = 0.0

    async def look(self) -> Look:
        """How things stand, at most `FRESH_S` ago; raises as `Looks.look`."""
        async with self._looking:
            if self._seen is None or time.monotonic() - self._seen_s >= FRESH_S:
                self._seen = await self._looks.look()
                self._seen_s = time.monotonic()
            return self._seen
