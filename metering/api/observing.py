"""Around every request: a span, a measurement, and an answer even to what nobody foresaw."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metering.telemetry import Telemetry, catalogue

_W3C: Final = TraceContextTextMapPropagator()
_NO_ROUTE: Final = "none"
_FAILED: Final = 500
Answer = Callable[[Request, Exception], Awaitable[Response]]


class Observing:
    """ASGI middleware; attributes of the span: https://opentelemetry.io/docs/specs/semconv/http/http-spans/."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, answer: Answer) -> None:
        self._app = app
        self._telemetry = telemetry
        self._answer = answer
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.monotonic()
        status = 0
        self._add_in_flight(1)

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._telemetry.tracer.start_as_current_span(
            scope["method"],
            _W3C.extract(Headers(scope=scope)),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": scope["method"], "url.path": scope["path"]},
        ) as span:
            try:
                await self._app(scope, receive, note_status)
            except Exception as error:
                span.record_exception(error)
                if status:
                    raise  # the answer has begun: the server can only break it off
                response = await self._answer(Request(scope, receive), error)
                await response(scope, receive, note_status)
            finally:
                route = _route(scope)
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)
                if status >= _FAILED:
                    span.set_status(StatusCode.ERROR)
                self._add_in_flight(-1)
                self._telemetry.instruments.record(
                    catalogue.API_DURATION, time.monotonic() - began_s, route=route, status=status
                )
                if problem := scope.get("metering.problem"):
                    self._telemetry.instruments.add(catalogue.API_PROBLEMS, problem=problem)

    def _add_in_flight(self, change: int) -> None:
        self._in_flight += change
        self._telemetry.instruments.set(catalogue.API_IN_FLIGHT, self._in_flight)


def _route(scope: Scope) -> str:
    """The route's own text, `/v1/plans/{name}`: names and cursors would be labels without end."""
    route = scope.get("route")
    return getattr(route, "path", _NO_ROUTE)
