"""Every refusal over HTTP as a problem document, to a browser as a page, and nothing else as an error."""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import asyncpg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from opentelemetry import trace
from starlette.exceptions import HTTPException

from aggregator.store.errors import MigrationError, NotApplied, NotMigrated
from schemas.problems import Problem, ProblemCode, ProblemError

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1

_BY_STATUS: Final = {
    404: ProblemCode.NOT_FOUND,
    405: ProblemCode.METHOD_NOT_ALLOWED,
    413: ProblemCode.BODY_TOO_LARGE,
}
_NOT_SET_UP: Final = (NotMigrated, NotApplied, MigrationError, asyncpg.UndefinedTableError)
_AWAY: Final = (
    OSError,
    TimeoutError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
)


class ProblemResponseError(Exception):
    """Ends a request with a problem."""

    def __init__(
        self,
        code: ProblemCode,
        detail: str,
        *,
        errors: Sequence[ProblemError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = headers


def not_found(what: str) -> ProblemResponseError:
    """The one answer for what is not there and for what is somebody else's."""
    return ProblemResponseError(ProblemCode.NOT_FOUND, f"There is no {what} that this token may read.")


def refusals(*codes: ProblemCode) -> dict[int | str, dict[str, Any]]:
    """How OpenAPI describes the answers with these codes."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {code.status: {"description": code.sentence, "content": content} for code in codes}


Page = Callable[[Request, ProblemResponseError], Response]


class Problems:
    """Turns what a request raises into its answer."""

    def __init__(self, runbook_url: str, page: Page) -> None:
        self._runbook_url = runbook_url
        self._page = page

    def install(self, app: FastAPI) -> None:
        """Answer for everything that this app raises."""
        for kind in (
            ProblemResponseError,
            RequestValidationError,
            HTTPException,
            *_NOT_SET_UP,
            *_AWAY,
        ):
            app.add_exception_handler(kind, self.answer)

    async def answer(self, request: Request, error: Exception) -> Response:
        """The problem document of an error, or its page for who reads those."""
        problem = _problem_of(error)
        if problem.code.status >= 500:  # noqa: PLR2004 - our side's doing
            level = "error" if problem.code is ProblemCode.INTERNAL_ERROR else "warning"
            getattr(log, level)(
                "request_failed",
                code=problem.code,
                method=request.method,
                path=request.url.path,
                error=repr(error),
                exc_info=error if level == "error" else None,
            )
        request.scope["metering.problem"] = problem.code
        if _wants_page(request):
            return self._page(request, problem)
        context = trace.get_current_span().get_span_context()
        body = Problem(
            type=f"{self._runbook_url}#{problem.code.anchor}",
            title=problem.code.sentence,
            status=problem.code.status,
            code=problem.code,
            detail=problem.detail,
            errors=list(problem.errors),
            trace_id=trace.format_trace_id(context.trace_id) if context.is_valid else None,
        )
        return Response(
            body.model_dump_json(exclude_defaults=True),
            status_code=problem.code.status,
            headers={"cache-control": "no-store", **(problem.headers or {})},
            media_type=MEDIA_TYPE,
        )


def _wants_page(request: Request) -> bool:
    is_document = request.url.path.startswith("/v1/")
    return not is_document and "text/html" in request.headers.get("accept", "")


def _problem_of(error: Exception) -> ProblemResponseError:
    match error:
        case ProblemResponseError():
            return error
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            return _of_status(error)
        case _:
            code, detail = _our_side(error)
            headers = None if code is ProblemCode.INTERNAL_ERROR else {"retry-after": str(RETRY_AFTER_S)}
            return ProblemResponseError(code, detail, headers=headers)


def _our_side(error: Exception) -> tuple[ProblemCode, str]:
    if isinstance(error, asyncpg.QueryCanceledError):
        return ProblemCode.TOO_SLOW, "The database stopped the query, because it took too long."
    if isinstance(error, _NOT_SET_UP):
        return ProblemCode.NOT_SET_UP, f"{error}"
    is_certificate = isinstance(error, ssl.SSLCertVerificationError)  # a ValueError too, and no fault of ours
    if is_certificate or (isinstance(error, _AWAY) and not isinstance(error, ValueError)):
        return ProblemCode.DATABASE_UNAVAILABLE, f"The database could not be asked ({type(error).__name__})."
    return ProblemCode.INTERNAL_ERROR, "An unexpected error; the log has its traceback."


def _invalid(error: RequestValidationError) -> ProblemResponseError:
    errors = [
        ProblemError(
            code=one["type"],
            pointer=".".join(map(str, one["loc"])),
            detail=_storable(one["msg"]),
        )
        for one in error.errors()
    ]
    named = ", ".join(dict.fromkeys(one.pointer for one in errors))
    return ProblemResponseError(
        ProblemCode.INVALID_REQUEST, f"Not as the contract says: {named}.", errors=errors
    )


def _of_status(error: HTTPException) -> ProblemResponseError:
    code = _BY_STATUS.get(error.status_code)
    if code is None:
        code = ProblemCode.INVALID_REQUEST if error.status_code < 500 else ProblemCode.INTERNAL_ERROR  # noqa: PLR2004
    return ProblemResponseError(code, code.sentence, headers=error.headers)


def _storable(text: str) -> str:
    """The text as UTF-8 can carry it: a parameter may hold half a surrogate pair."""
    return text.encode("utf-8", "replace").decode()
