"""Who asks, and whether they may: before anything is read or written."""

import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.params import Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from aggregator import access
from aggregator.access import Access, Scope
from aggregator.store import tokens
from aggregator.store.connection import Connection
from metering.api.problems import ProblemResponseError
from metering.api.services import Services, services_of
from schemas.problems import ProblemCode

_BEARER: Final = HTTPBearer(
    scheme_name="token",
    bearerFormat="mtr_<id>_<secret>",
    description="A token of `metering token create`. Beside each operation stands the scope that it needs.",
    auto_error=False,
)
_REALM: Final = 'Bearer realm="metering"'
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


@dataclass(frozen=True, slots=True)
class Reading:
    """A request that may read: a snapshot of the database, and whose data may be seen."""

    connection: Connection
    access: Access


@dataclass(frozen=True, slots=True)
class Writing:
    """A request that may write; it makes its own transaction."""

    connection: Connection
    access: Access


async def _read(request: Request, needed: SecurityScopes, credentials: Credentials) -> AsyncIterator[Reading]:
    text = _token(credentials)
    services = services_of(request)
    async with services.database.reading() as connection:
        yield Reading(connection, await _admit(services, connection, text, needed))


async def _write(
    request: Request, needed: SecurityScopes, credentials: Credentials
) -> AsyncIterator[Writing]:
    text = _token(credentials)
    services = services_of(request)
    async with services.database.connection() as connection:
        yield Writing(connection, await _admit(services, connection, text, needed))


def reads(scope: Scope) -> Any:  # noqa: ANN401 - a marker of FastAPI's
    """Make a route's parameter of type `Reading`, for tokens with this scope."""
    # The snapshot ends with the function, not with the answer: a slow reader holds no connection.
    return Security(_read, scopes=[scope.value], scope="function")


def writes(scope: Scope) -> Any:  # noqa: ANN401 - a marker of FastAPI's
    """Make a route's parameter of type `Writing`, for tokens with this scope."""
    return Security(_write, scopes=[scope.value], scope="function")


def _token(credentials: HTTPAuthorizationCredentials | None) -> str:
    """The token, if it has the form of one: nobody else costs the database a question."""
    if credentials is None:
        raise ProblemResponseError(
            ProblemCode.TOKEN_MISSING, "There is no bearer token.", headers={"www-authenticate": _REALM}
        )
    if access.presented(credentials.credentials) is None:
        raise unknown()
    return credentials.credentials


async def _admit(services: Services, connection: Connection, text: str, needed: SecurityScopes) -> Access:
    return admit(services, await tokens.access_of(connection, text), needed.scopes)


def admit(services: Services, admitted: Access | None, scopes: Iterable[str]) -> Access:
    """Let a token's bearer go on, if it is one, does not ask too often, and has these scopes.

    Raises:
        ProblemResponseError: `token_invalid`, `too_many_requests` or `scope_missing`.
    """
    if admitted is None:
        raise unknown()
    wait_s = services.limit.wait_s(admitted.token_id, time.monotonic())
    if wait_s is not None:
        raise ProblemResponseError(
            ProblemCode.TOO_MANY_REQUESTS,
            f"The next request of this token is welcome in {wait_s} s.",
            headers={"retry-after": str(wait_s)},
        )
    for scope in scopes:
        if not admitted.allows(Scope(scope)):
            raise ProblemResponseError(
                ProblemCode.SCOPE_MISSING,
                f"This needs the scope {scope}.",
                headers={"www-authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope}"'},
            )
    return admitted


def unknown() -> ProblemResponseError:
    """What is said to who shows no token in force, whatever is wrong with it."""
    return ProblemResponseError(
        ProblemCode.TOKEN_INVALID,
        "This token is not one in force.",
        headers={"www-authenticate": f'{_REALM}, error="invalid_token"'},
    )
