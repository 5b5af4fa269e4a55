"""What `/healthz`, `/readyz` and `/metrics` say: alive; if not ready, why not; and what is measured."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from metering.errors import UsageError
from metering.settings import Settings
from metering.telemetry import Instruments, Telemetry, catalogue

log = structlog.get_logger(__name__)

Reasons = Callable[[], Awaitable[Mapping[str, str]]]
"""Tells why this process is not at its work, by what has the reason; nothing if it is."""


class Readiness:
    """The reasons why this process is not at its work, by what has the reason."""

    def __init__(self, process: str, instruments: Instruments) -> None:
        self.reasons: dict[str, str] = {process: "starting"}
        self._instruments = instruments
        instruments.set(catalogue.READY, 0)

    @property
    def ready(self) -> bool:
        """Whether everything it is there for is being done."""
        return not self.reasons

    async def told(self) -> Mapping[str, str]:
        """The reasons, for who asks."""
        return self.reasons

    def because(self, what: str, reason: str) -> None:
        """Not ready, because of this."""
        self.reasons[what] = reason
        self._instruments.set(catalogue.READY, 0)

    def clear(self, what: str) -> None:
        """This is no reason any more."""
        self.reasons.pop(what, None)
        self._instruments.set(catalogue.READY, int(self.ready))

    @contextmanager
    def waiting_for(self, what: str, reason: str) -> Iterator[None]:
        """Not ready for as long as the block runs."""
        self.because(what, reason)
        try:
            yield
        finally:
            self.clear(what)


class AdminServer:
    """Answers probes on a port of its own, in the process's loop: a loop that hangs does not answer."""

    def __init__(self, reasons: Reasons, telemetry: Telemetry, host: str, port: int) -> None:
        self._reasons = reasons
        self._exposition = telemetry.exposition
        routes = [Route("/healthz", _alive), Route("/readyz", self._ready), Route("/metrics", self._metrics)]
        config = uvicorn.Config(
            Starlette(routes=routes),
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        (listening,) = self._server.servers
        port: int = listening.sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address is taken or not ours.
        """
        host, port = self._server.config.host, self._server.config.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family)
        self._task = asyncio.create_task(self._server.serve([sock]))
        while not self._server.started:
            await asyncio.wait([self._task], timeout=0.01)
            if self._task.done():
                self._task.result()

    async def close(self) -> None:
        """Stop answering."""
        self._server.should_exit = True
        self._server.force_exit = True
        if self._task is not None:
            await self._task

    async def _ready(self, _request: Request) -> JSONResponse:
        return readiness_response(await self._reasons())

    async def _metrics(self, request: Request) -> Response:
        if self._exposition is None:
            return Response("This process measures nothing.\n", status_code=404)
        content, content_type = await self._exposition.render(request.headers.get("accept", ""))
        return Response(content, headers={"content-type": content_type})


def readiness_response(reasons: Mapping[str, str]) -> JSONResponse:
    """Answer `/readyz`."""
    ready = not reasons
    return JSONResponse({"ready": ready, "reasons": dict(reasons)}, status_code=200 if ready else 503)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process: it has work to finish before it may go."""
        yield


@asynccontextmanager
async def probes(settings: Settings, reasons: Reasons, telemetry: Telemetry) -> AsyncIterator[None]:
    """Answer probes for as long as the block runs, if the settings name a port.

    Raises:
        UsageError: the port cannot be used.
    """
    if settings.admin_port is None:
        yield
        return
    server = AdminServer(reasons, telemetry, settings.admin_host, settings.admin_port)
    try:
        await server.start()
    except OSError as error:
        raise UsageError("settings_invalid", f"The admin port cannot be used: {error}.") from error
    log.info("admin_listening", host=settings.admin_host, port=server.port)
    try:
        yield
    finally:
        await server.close()


async def _alive(_request: Request) -> JSONResponse:
    return JSONResponse({"alive": True})
