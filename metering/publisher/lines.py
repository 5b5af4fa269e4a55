"""CloudEvents as JSON lines, from a file or from standard input as they come."""

import asyncio
import sys
from collections.abc import AsyncIterator
from io import FileIO
from pathlib import Path
from typing import Final, NamedTuple

from metering.errors import unreadable
from metering.publisher.refusal import EventRefused

STDIN: Final = Path("-")
_CHUNK_BYTES: Final = 65_536


class Line(NamedTuple):
    """One event of a file, or why there is none; numbered from 1."""

    number: int
    event: bytes | EventRefused
    size_bytes: int


async def json_lines(path: Path) -> AsyncIterator[Line]:
    """The lines of a file (`-`: standard input), without those that are blank.

    Raises:
        InputRefusedError: the file cannot be read (`file_unreadable`).
    """
    number = 0
    rest = b""
    try:
        with FileIO(sys.stdin.fileno() if path == STDIN else path, closefd=path != STDIN) as file:
            # In a thread: a pipe may be silent for long, while what came before still has to be sent.
            while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    number += 1
                    if not line.isspace() and line:
                        yield Line(number, line, len(line) + 1)
    except OSError as error:
        raise unreadable("file", path, error) from error
    if rest and not rest.isspace():
        yield Line(number + 1, rest, len(rest))
