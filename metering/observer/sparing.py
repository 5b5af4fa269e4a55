"""An answer that costs much is asked for seldom, one that costs little whenever it is wanted."""

import time
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

SHARE: Final = 20
"""Asking takes at most one part in so many of the time."""

Answer = TypeVar("Answer")


class Sparing(Generic[Answer]):
    """Remembers the last answer for as long as asking again would cost too much."""

    def __init__(self, ask_clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = ask_clock_s
        self._answer: Answer | None = None
        self._again_s = 0.0

    async def get(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer, or a new one if it may be asked for."""
        began_s = self._clock_s()
        if self._answer is None or began_s >= self._again_s:
            self._answer = await ask()
            ended_s = self._clock_s()
            self._again_s = ended_s + SHARE * (ended_s - began_s)
        return self._answer
