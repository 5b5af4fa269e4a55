"""A TCP proxy that stands before a server and does to its connections what a test asks for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final

from metering.dev.ports import free_ports

_PIECE_BYTES: Final = 65_536
_WAITING_PIECES: Final = 64

Framing = Callable[[asyncio.StreamReader], AsyncIterator[bytes]]
"""Cuts one direction of a connection into the pieces that a rule decides about."""


async def chunks(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The framing that knows no protocol: whatever arrives together."""
    while piece := await stream.read(_PIECE_BYTES):
        yield piece


class Link:
    """One client's connection through the proxy, and its connection to the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server

    def cut(self) -> None:
        """Reset both sides, as a network that breaks would: what was not read yet is lost."""
        self.client.transport.abort()
        self.server.transport.abort()


class Rule:
    """What happens to each piece; this one passes everything on. Override one direction or both."""

    async def from_client(self, piece: bytes, link: Link) -> None:
        link.server.write(piece)

    async def from_server(self, piece: bytes, link: Link) -> None:
        link.client.write(piece)


class Proxy:
    """Listens on a port of 127.0.0.1 and joins each connection to the server behind it.

    `rule` may be replaced at any time, and so may `latency_s`, by which each piece is late in either
    direction without holding up those behind it.
    """

    def __init__(
        self,
        server_port: int,
        *,
        server_host: str = "127.0.0.1",
        client_framing: Framing = chunks,
        server_framing: Framing = chunks,
    ) -> None:
        self.port = free_ports(1)[0]
        self.rule = Rule()
        self.latency_s = 0.0
        self._server = (server_host, server_port)
        self._client_framing = client_framing
        self._server_framing = server_framing
        self._links: dict[asyncio.Task[None], Link] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._listener: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._links)

    async def listen(self) -> None:
        """Take connections; after `refuse`, on the same port again."""
        self._listener = await asyncio.start_server(self._join, "127.0.0.1", self.port)

    def refuse(self) -> None:
        """Take no more connections; those that are there stay."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def freeze(self) -> None:
        """Pass nothing on in either direction: connections stay open and silent."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Pass on what has waited, and go on."""
        self._flowing.set()

    def cut(self) -> None:
        """Reset every connection that is there; new ones are taken."""
        for link in self._links.values():
            link.cut()

    async def close(self) -> None:
        """End everything that the proxy has open."""
        self.refuse()
        tasks = list(self._links)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _join(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection(*self._server)
        except OSError:
            to_client.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        link = self._links[task] = Link(to_client, to_server)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(
                    self._pump(
                        self._client_framing(from_client),
                        to_server,
                        lambda piece: self.rule.from_client(piece, link),
                    )
                )
                pumps.create_task(
                    self._pump(
                        self._server_framing(from_server),
                        to_client,
                        lambda piece: self.rule.from_server(piece, link),
                    )
                )
        except* OSError:
            pass  # one side is gone in the middle of a write or a goodbye, so the other goes too
        finally:
            link.cut()
            del self._links[task]

    async def _pump(
        self,
        pieces: AsyncIterator[bytes],
        to: asyncio.StreamWriter,
        decide: Callable[[bytes], Awaitable[None]],
    ) -> None:
        """Carry one direction, to its end and the end of what still waits then."""
        clock = asyncio.get_running_loop()
        waiting: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue(_WAITING_PIECES)

        async def take_in() -> None:
            with suppress(ConnectionError):  # a reset ends this direction as a close does
                async for piece in pieces:
                    await waiting.put((clock.time() + self.latency_s, piece))
            await waiting.put(None)

        async def pass_on() -> None:
            while (item := await waiting.get()) is not None:
                due, piece = item
                await asyncio.sleep(due - clock.time())
                await self._flowing.wait()
                await decide(piece)
                await to.drain()
            await self._flowing.wait()
            to.write_eof()

        async with asyncio.TaskGroup() as stages:
            stages.create_task(take_in())
            stages.create_task(pass_on())
