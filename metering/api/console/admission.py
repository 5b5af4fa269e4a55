"""Who looks at a page, and whether they may: the sessions of `login`, then everything as for `/v1`."""

import time
from collections.abc import AsyncIterator
from typing import Any, Final

from fastapi import Request
from fastapi.params import Security
from fastapi.security import SecurityScopes

from aggregator import session
from aggregator.access import Access, Scope
from aggregator.store import tokens
from aggregator.store.connection import Connection
from metering.api.access import Reading, Writing, admit
from metering.api.console.pages import remember
from metering.api.problems import ProblemResponseError
from metering.api.services import services_of
from schemas.problems import ProblemCode

COOKIE: Final = "metering_session"


async def _admitted(request: Request, connection: Connection, needed: SecurityScopes) -> Access:
    services = services_of(request)
    claim = session.claimed(request.cookies.get(COOKIE, ""))
    found = None if claim is None else await tokens.live(connection, claim.token_id)
    if (
        claim is None
        or found is None
        or not session.holds(claim, services.session_key, found.digest, time.time())
    ):
        raise _nobody()
    remember(request, found.access)
    return admit(services, found.access, needed.scopes)


async def _enter(request: Request, needed: SecurityScopes) -> Access:
    _require_session(request)
    async with services_of(request).database.connection() as connection:
        return await _admitted(request, connection, needed)


async def _read(request: Request, needed: SecurityScopes) -> AsyncIterator[Reading]:
    _require_session(request)
    async with services_of(request).database.reading() as connection:
        yield Reading(connection, await _admitted(request, connection, needed))


async def _decide(request: Request, needed: SecurityScopes) -> AsyncIterator[Writing]:
    _require_session(request)
    async with services_of(request).database.connection() as connection:
        yield Writing(connection, await _admitted(request, connection, needed))


def enters(*scopes: Scope) -> Any:  # noqa: ANN401 - a marker of FastAPI's
    """Make a route's parameter of type `Access`; the page asks servers by itself."""
    return Security(_enter, scopes=[scope.value for scope in scopes], scope="function")


def sees(*scopes: Scope) -> Any:  # noqa: ANN401 - a marker of FastAPI's
    """Make a route's parameter of type `Reading`, for sessions of tokens with these scopes."""
    return Security(_read, scopes=[scope.value for scope in scopes], scope="function")


def decides(scope: Scope) -> Any:  # noqa: ANN401 - a marker of FastAPI's
    """Make a route's parameter of type `Writing`, for sessions of tokens with this scope."""
    return Security(_decide, scopes=[scope.value], scope="function")


def _require_session(request: Request) -> None:
    """Whoever has nothing of a session's form costs the database no question."""
    if session.claimed(request.cookies.get(COOKIE, "")) is None:
        raise _nobody()


def _nobody() -> ProblemResponseError:
    return ProblemResponseError(ProblemCode.TOKEN_MISSING, "")
