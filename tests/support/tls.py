"""TLS before a Postgres that has none, as a load balancer ends it; its certificate may change at any time."""

import asyncio
import ssl
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Final

from metering.dev.ports import free_ports

_SSL_REQUEST_BYTES: Final = 8
_PIECE_BYTES: Final = 65_536


class TlsFront:
    """Listens on a port of 127.0.0.1; `certificate` and its key are what the next connection is shown."""

    def __init__(self, server_port: int, certificate: tuple[Path, Path]) -> None:
        self.certificate = certificate
        (self.port,) = free_ports(1)
        self._server_port = server_port
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    async def listen(self) -> None:
        self._listener = await asyncio.start_server(self._join, "127.0.0.1", self.port)

    async def close(self) -> None:
        """End everything that is open."""
        if self._listener is not None:
            self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _join(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):  # a client that does not trust us hangs up
                await from_client.readexactly(_SSL_REQUEST_BYTES)
                to_client.write(b"S")
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                context.load_cert_chain(*self.certificate)
                await to_client.start_tls(context)
                from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
                try:
                    await _either(_carry(from_client, to_server), _carry(from_server, to_client))
                finally:
                    to_server.transport.abort()
        finally:
            to_client.transport.abort()


async def _carry(stream: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await stream.read(_PIECE_BYTES):
            to.write(piece)
            await to.drain()


async def _either(*ways: Coroutine[None, None, None]) -> None:
    """Until one of them has ended: then the other has nobody to speak to."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
