"""Why a request over HTTP was refused, by stable codes: RFC 9457 problem documents."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class ProblemCode(StrEnum):
    """Codes of problems. They are scripted against: never rename one."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CURSOR = "invalid_cursor"
    TOKEN_MISSING = "token_missing"  # noqa: S105 - a code, no secret
    TOKEN_INVALID = "token_invalid"  # noqa: S105
    SCOPE_MISSING = "scope_missing"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    PERIOD_IS_RATED = "period_is_rated"
    PRECONDITION_FAILED = "precondition_failed"
    BODY_TOO_LARGE = "body_too_large"
    BODY_NOT_JSON = "body_not_json"
    DOCUMENT_INVALID = "document_invalid"
    CHANGE_REFUSED = "change_refused"
    TOO_MANY_REQUESTS = "too_many_requests"
    INTERNAL_ERROR = "internal_error"
    DATABASE_UNAVAILABLE = "database_unavailable"
    NOT_SET_UP = "not_set_up"
    TOO_SLOW = "too_slow"

    @property
    def anchor(self) -> str:
        """The anchor of this code's section in the runbook."""
        return self.value.replace("_", "-")

    @property
    def status(self) -> int:
        """The HTTP status that it comes with."""
        return KINDS[self].status

    @property
    def sentence(self) -> str:
        """What is wrong and what to do, whatever the request."""
        return KINDS[self].sentence


class ProblemKind(NamedTuple):
    """What is the same for every problem of a code."""

    status: int
    sentence: str


KINDS: Final[Mapping[ProblemCode, ProblemKind]] = MappingProxyType(
    {
        ProblemCode.INVALID_REQUEST: ProblemKind(
            400, "A parameter is missing, unknown or not as the contract says: `errors` names each."
        ),
        ProblemCode.INVALID_CURSOR: ProblemKind(
            400,
            "The cursor is none that this query gave out: begin without one, or keep the other parameters as "
            "they were.",
        ),
        ProblemCode.TOKEN_MISSING: ProblemKind(
            401, "The request has no bearer token: send `Authorization: Bearer mtr_…`."
        ),
        ProblemCode.TOKEN_INVALID: ProblemKind(
            401, "The token is unknown, revoked or over: ask for a new one (`metering token create`)."
        ),
        ProblemCode.SCOPE_MISSING: ProblemKind(
            403, "The token lacks the scope that `detail` names: ask for one that has it."
        ),
        ProblemCode.NOT_FOUND: ProblemKind(
            404, "There is nothing by this name, or the token may not know of it: check name and token."
        ),
        ProblemCode.METHOD_NOT_ALLOWED: ProblemKind(
            405, "The resource is there, but not for this method: see the header `Allow`."
        ),
        ProblemCode.PERIOD_IS_RATED: ProblemKind(
            409, "The period has a final version: read that instead of a provisional total."
        ),
        ProblemCode.PRECONDITION_FAILED: ProblemKind(
            412, "The resource is not the one that `If-Match` names: read it again, then decide."
        ),
        ProblemCode.BODY_TOO_LARGE: ProblemKind(
            413, "The body has more than a million bytes: send one document, without what nobody reads."
        ),
        ProblemCode.BODY_NOT_JSON: ProblemKind(
            422, "The body is not one JSON object in UTF-8 whose numbers are exact: correct it."
        ),
        ProblemCode.DOCUMENT_INVALID: ProblemKind(
            422, "The document breaks its contract: `errors` names each place and what to write there."
        ),
        ProblemCode.CHANGE_REFUSED: ProblemKind(
            422, "The document is valid, but cannot take effect as things stand: `errors` says why."
        ),
        ProblemCode.TOO_MANY_REQUESTS: ProblemKind(
            429, "This token asks too often: wait for as many seconds as `Retry-After` says."
        ),
        ProblemCode.INTERNAL_ERROR: ProblemKind(
            500,
            "This is a bug of ours: report it, with the `trace_id` if there is one; trying again is safe.",
        ),
        ProblemCode.DATABASE_UNAVAILABLE: ProblemKind(
            503, "The database does not answer or has no room for this request: try again in a moment."
        ),
        ProblemCode.NOT_SET_UP: ProblemKind(
            503, "The database is not at this release: run `metering migrate` and `metering topics apply`."
        ),
        ProblemCode.TOO_SLOW: ProblemKind(
            503, "The answer took longer than is allowed: ask for less at once (`from`, `to`, `subject`)."
        ),
    }
)
"""Every kind of problem there is."""


class ProblemError(BaseModel):
    """One of several things that are wrong."""

    model_config = ConfigDict(frozen=True)

    code: str = Field(description="A stable code.")
    pointer: str = Field(description="Where: a parameter, or a place in the document.")
    detail: str = Field(description="What is wrong, and what to do.")


class Problem(BaseModel):
    """A problem document (RFC 9457), sent as `application/problem+json`."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="Where the runbook explains this code.")
    title: str = Field(description="What is wrong and what to do, whatever the request.")
    status: int = Field(description="The HTTP status.")
    code: ProblemCode = Field(description="The stable code.")
    detail: str = Field(description="What is wrong with this request.")
    errors: list[ProblemError] = Field(
        default_factory=list, description="Each thing that is wrong, if there can be several."
    )
    trace_id: str | None = Field(None, description="The trace of this request, if it was traced.")
