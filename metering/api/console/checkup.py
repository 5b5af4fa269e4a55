"""One examination by the doctor for all who look at what it finds: servers are asked once, whoever asks."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from metering.doctor.check import Result
from metering.doctor.run import examine_what_moves
from metering.settings import Settings

FRESH_S: Final = 10.0
"""So long what was found is shown."""


class Checkup:
    """Examines when it is asked, for all who ask."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._examining = asyncio.Lock()
        self._results: Sequence[Result] = ()
        self._examined_s = float("-inf")

    async def results(self) -> Sequence[Result]:
        """What came of each check, at most `FRESH_S` ago."""
        async with self._examining:
            if time.monotonic() - self._examined_s >= FRESH_S:
                self._results = await examine_what_moves(self._settings)
                self._examined_s = time.monotonic()
            return self._results
