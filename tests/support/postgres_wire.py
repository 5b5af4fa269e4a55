"""Just enough of the Postgres protocol (v3) to stand between a client and the effect of its COMMIT."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, Literal
from urllib.parse import urlsplit, urlunsplit

from support.proxy import Link, Proxy, Rule

_LENGTH_BYTES: Final = 4
_ENCRYPTION_REQUESTS: Final = {80_877_103, 80_877_104}  # SSLRequest, GSSENCRequest
_COMMIT: Final = re.compile(rb"\s*(COMMIT|END)\b[^;]*;?\s*", re.IGNORECASE)
_COMMITTED: Final = b"COMMIT\x00"
_BEGIN: Final = b"BEGIN ISOLATION LEVEL READ COMMITTED"  # as only a flush says it


def postgres_proxy(dsn: str) -> Proxy:
    """A proxy before the server of `dsn`, whose rules see whole protocol messages."""
    address = urlsplit(dsn)
    assert address.hostname is not None
    return Proxy(
        address.port or 5432,
        server_host=address.hostname,
        client_framing=client_messages,
        server_framing=server_messages,
    )


def dsn_through(proxy: Proxy, dsn: str) -> str:
    """The same database, reached through the proxy."""
    address = urlsplit(dsn)
    login = address.netloc.rpartition("@")[0]
    return urlunsplit(address._replace(netloc=f"{login}@127.0.0.1:{proxy.port}"))


async def client_messages(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """What a client sends: requests for encryption, the startup message, then typed messages."""
    with suppress(asyncio.IncompleteReadError):
        while True:
            length = await stream.readexactly(_LENGTH_BYTES)
            body = await stream.readexactly(int.from_bytes(length) - _LENGTH_BYTES)
            yield length + body
            if int.from_bytes(body[:4]) not in _ENCRYPTION_REQUESTS:
                break
        while True:
            yield await _typed_message(stream)


async def server_messages(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """What a server sends: one byte that declines encryption if it was asked for, then typed messages."""
    with suppress(asyncio.IncompleteReadError):
        first = await stream.readexactly(1)
        if first == b"N":
            yield first
            first = b""
        while True:
            yield await _typed_message(stream, first)
            first = b""


async def _typed_message(stream: asyncio.StreamReader, kind: bytes = b"") -> bytes:
    kind = kind or await stream.readexactly(1)
    length = await stream.readexactly(_LENGTH_BYTES)
    return kind + length + await stream.readexactly(int.from_bytes(length) - _LENGTH_BYTES)


def asks_to_commit(message: bytes) -> bool:
    """Tell whether a client's message is a COMMIT: a simple query, or the Parse of an extended one."""
    kind, body = message[:1], message[5:]
    if kind == b"Q":
        return _COMMIT.fullmatch(body.removesuffix(b"\x00")) is not None
    if kind == b"P":
        return _COMMIT.fullmatch(body.split(b"\x00")[1]) is not None
    return False


def says_committed(message: bytes) -> bool:
    """Tell whether a server's message is the CommandComplete of a COMMIT that took effect."""
    return message[:1] == b"C" and message[5:] == _COMMITTED


def begins_flush(message: bytes) -> bool:
    """Tell whether a client's message begins the transaction of a flush."""
    return _BEGIN in message


class HoldBegin(Rule):
    """One flush, after `skip` others, begins and goes no further until `release`."""

    def __init__(self, *, skip: int = 0) -> None:
        self.happened = asyncio.Event()
        self._skip = skip
        self._released = asyncio.Event()

    def release(self) -> None:
        self._released.set()

    async def from_client(self, piece: bytes, link: Link) -> None:
        if begins_flush(piece) and not self.happened.is_set():
            self._skip -= 1
            if self._skip < 0:
                self.happened.set()
                await self._released.wait()
        link.server.write(piece)


class HoldFlush(Rule):
    """One flush begins, sends `messages` more, and goes no further until `release`."""

    def __init__(self, messages: int) -> None:
        self.happened = asyncio.Event()
        self._left = messages
        self._link: Link | None = None
        self._released = asyncio.Event()

    def release(self) -> None:
        self._released.set()

    async def from_client(self, piece: bytes, link: Link) -> None:
        if self._link is None and begins_flush(piece):
            self._link = link
        elif link is self._link and not self.happened.is_set():
            self._left -= 1
            if self._left < 0:
                self.happened.set()
                await self._released.wait()
        link.server.write(piece)


class CommitFault(Rule):
    """Does its harm to one COMMIT, after letting `skip` of them pass; `happened` is set when it is done."""

    def __init__(self, *, skip: int = 0) -> None:
        self.happened = asyncio.Event()
        self._skip = skip

    def _its_turn(self) -> bool:
        if self.happened.is_set():
            return False
        self._skip -= 1
        return self._skip < 0


class LoseCommitReply(CommitFault):
    """The server commits, and the client never hears of it.

    Then the connection is reset (`cut`) or stays open without another word (`silence`).
    """

    def __init__(self, *, skip: int = 0, then: Literal["cut", "silence"] = "cut") -> None:
        super().__init__(skip=skip)
        self._then = then
        self._silenced: Link | None = None

    async def from_server(self, piece: bytes, link: Link) -> None:
        if link is self._silenced:
            return
        if not (says_committed(piece) and self._its_turn()):
            link.client.write(piece)
            return
        self._silenced = link
        if self._then == "cut":
            link.cut()
        self.happened.set()


class SwallowCommit(CommitFault):
    """The COMMIT never reaches the server, and the connection is reset: the server rolls back."""

    async def from_client(self, piece: bytes, link: Link) -> None:
        if asks_to_commit(piece) and self._its_turn():
            link.cut()
            self.happened.set()
        else:
            link.server.write(piece)


class HoldCommit(CommitFault):
    """The COMMIT is under way until `release`: it takes effect then, even if the client has given up."""

    def __init__(self, *, skip: int = 0) -> None:
        super().__init__(skip=skip)
        self._released = asyncio.Event()

    def release(self) -> None:
        self._released.set()

    async def from_client(self, piece: bytes, link: Link) -> None:
        if asks_to_commit(piece) and self._its_turn():
            self.happened.set()
            await self._released.wait()
        link.server.write(piece)
