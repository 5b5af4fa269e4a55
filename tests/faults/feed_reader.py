"""A billing engine in miniature: it reads the feed over HTTP by cursor, whatever becomes of the servers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import requests
from faults.scenario import DEADLINE_S

from metering.dev.conditions import until

PATHS: Final = ("/v1/rated-totals", "/v1/thresholds")
PAUSE_S: Final = 0.05


class FeedReader:
    """What it has read so far, by path; `problems` are those that sent it away for a moment."""

    def __init__(self, url: str, token: str) -> None:
        self.read: Mapping[str, list[str]] = {path: [] for path in PATHS}
        self.problems = 0
        self.answers = 0
        self._url = url
        self._token = token
        self._cursors: dict[str, str] = {}

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Read for as long as the body runs."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self._read_on())
            yield
            task.cancel()

    async def is_sent_away(self) -> None:
        """Wait until it meets a problem."""
        before = self.problems

        async def has_been() -> bool:
            return self.problems > before

        assert await until(has_been, deadline_s=DEADLINE_S)

    async def is_answered(self) -> None:
        """Wait until it reads on."""
        before = self.answers

        async def has_been() -> bool:
            return self.answers > before

        assert await until(has_been, deadline_s=DEADLINE_S)

    async def has_read(self, entries: int) -> None:
        """Wait until it has come to the end of so many entries."""

        async def has() -> bool:
            return sum(map(len, self.read.values())) >= entries

        assert await until(has, deadline_s=DEADLINE_S), f"{self.read} is not {entries} entries"

    async def _read_on(self) -> None:
        while True:
            for path in PATHS:
                answer = await asyncio.to_thread(self._ask, path)
                if answer is None:
                    self.problems += 1
                else:
                    self.answers += 1
                    self.read[path].extend(one["id"] for one in answer["data"])
                    self._cursors[path] = answer["next_cursor"]
            await asyncio.sleep(PAUSE_S)

    def _ask(self, path: str) -> dict[str, Any] | None:
        """An answer; None if nobody listens, or for a problem that passes, in the API's own words."""
        try:
            response = requests.get(
                f"{self._url}{path}",
                headers={"Authorization": f"Bearer {self._token}"},
                params={"after": self._cursors[path]} if path in self._cursors else {},
                timeout=30,
            )
        except requests.ConnectionError:
            return None
        body: dict[str, Any] = response.json()
        if response.status_code == requests.codes.ok:
            return body
        assert (response.status_code, body["code"]) == (503, "database_unavailable"), body
        assert response.headers["Retry-After"]
        return None
