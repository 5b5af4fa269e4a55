"""Writing plans and subscriptions: planned, refused and applied as `metering catalog apply` does."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import Request, Response
from pydantic import BaseModel, Field

from aggregator.applying.billing_change import TermsChange, Wanted
from aggregator.applying.billing_plan import BillingPlan, Refusal
from aggregator.applying.catalog_plan import ChangeKind
from aggregator.store import price_changes, prices
from aggregator.store.connection import Connection
from metering.api.access import Writing
from metering.api.bodies import REFUSED_BODIES
from metering.api.etags import body_tag, names
from metering.api.parameters import Instant, Parameters, TimeText, micros
from metering.api.problems import ProblemResponseError, refusals
from schemas.problems import ProblemCode, ProblemError

CREATED: Final = 201


class ChangeParameters(Parameters):
    """How to change it."""

    dry_run: bool = Field(default=False, description="Only say what would change; write nothing.")
    effective_from: Instant | None = Field(
        None, description="Event time from which it holds; by default the earliest that is allowed."
    )


class FieldDifference(BaseModel):
    """One field of the definition."""

    field: str
    before: Any = Field(description="null: it was not set.")
    after: Any = Field(description="null: it is not set any more.")


class Changed(BaseModel):
    """What became, or would become, of one plan or subscription."""

    name: str
    kind: ChangeKind
    version: int | None = Field(description="The new version; null: nothing changes.")
    effective_from: TimeText | None = Field(description="null: from the beginning.")
    differences: list[FieldDifference]


class Change(BaseModel):
    """What a PUT did, or would do."""

    dry_run: bool
    revision: int | None = Field(description="Of all plans and subscriptions; null: nothing was written.")
    change: Changed


WRITTEN: Final[dict[int | str, dict[str, Any]]] = {
    CREATED: {"description": "It is made.", "model": Change},
    **refusals(ProblemCode.PRECONDITION_FAILED),
    **REFUSED_BODIES,
}
"""What a PUT may answer beside what every request may."""


async def change(
    request: Request,
    writing: Writing,
    parameters: ChangeParameters,
    wanted: Wanted,
    read: Callable[[], Awaitable[bytes | None]],
) -> Response:
    """Apply what is wanted, or say what that would do.

    Args:
        request: whose `If-Match` and `If-None-Match` are obeyed.
        writing: of a token that may.
        parameters: of the request.
        wanted: one plan or one subscription.
        read: gives what a GET of it would give now; None: it is not there.

    Raises:
        ProblemResponseError: it cannot take effect (`change_refused`), or is not what the request expects.
    """
    start_us = micros(parameters.effective_from)
    is_dry = parameters.dry_run
    # What was locked is read as it is by then.
    async with writing.connection.transaction(
        isolation="repeatable_read" if is_dry else "read_committed", readonly=is_dry
    ):
        if not is_dry:
            await prices.lock(writing.connection)
        _require(request, await read())
        planned, revision = await _apply(
            writing.connection, wanted, start_us, None if is_dry else writing.access.who
        )
        if planned.refusals:
            raise ProblemResponseError(
                ProblemCode.CHANGE_REFUSED,
                "It cannot take effect as things stand; nothing was written.",
                errors=list(map(_error, planned.refusals)),
            )
    (one,) = planned.terms
    shown = Change(dry_run=is_dry, revision=revision, change=_shown(one))
    is_new = one.kind is ChangeKind.NEW and not is_dry
    return Response(
        shown.model_dump_json(),
        status_code=CREATED if is_new else 200,
        headers={"cache-control": "no-store"},
        media_type="application/json",
    )


async def _apply(
    connection: Connection, wanted: Wanted, start_us: int | None, who: str | None
) -> tuple[BillingPlan, int | None]:
    if who is None:
        return await price_changes.current(connection, wanted, start_us), None
    applied = await price_changes.apply(connection, wanted, who, start_us)
    return applied.plan, applied.revision


def _require(request: Request, body: bytes | None) -> None:
    """Obey the request's preconditions (RFC 9110, section 13), under the lock that changes need."""
    must, must_not = request.headers.get("if-match"), request.headers.get("if-none-match")
    tag = "" if body is None else body_tag(body)
    if must is not None and not (tag and names(must, tag, strongly=True)):
        raise ProblemResponseError(
            ProblemCode.PRECONDITION_FAILED, "It is not what `If-Match` names any more; nothing was written."
        )
    if must_not is not None and tag and names(must_not, tag):
        raise ProblemResponseError(
            ProblemCode.PRECONDITION_FAILED, "It is what `If-None-Match` excludes; nothing was written."
        )


def _error(refusal: Refusal) -> ProblemError:
    return ProblemError(
        code=refusal.code, pointer=f"{refusal.section}.{refusal.name}", detail=f"{refusal.sentence}."
    )


def _shown(one: TermsChange) -> Changed:
    return Changed(
        name=one.name,
        kind=one.kind,
        version=None if one.kind is ChangeKind.UNCHANGED else one.version,
        effective_from=one.effective_from_us,
        differences=[FieldDifference(**difference._asdict()) for difference in one.differences],
    )
