"""The shapes of this folder's fixtures."""

import json
from pathlib import Path
from typing import Any, NamedTuple, Protocol


def write(name: str, text: str) -> None:
    """Write a file into the test's directory."""
    Path(name).write_text(text)


class Ran(NamedTuple):
    """What a command printed."""

    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def problems(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.err.splitlines()]


class Metering(Protocol):
    async def __call__(self, *arguments: str, exits: int = 0) -> Ran: ...
