"""`/quarantine/redrive` and `/quarantine/discard`: first what would be done, and its worth; then a form.

A decision is made of what was shown and of nothing that was refused since. A form that is sent twice decides
nothing the second time: what it meant does not wait any more.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field, ValidationError

from aggregator.access import Scope
from aggregator.rating.amounts import exact_text
from aggregator.store import server
from aggregator.store.redrive import BEGINNING, Place, Selection
from metering.api.access import Writing
from metering.api.console.admission import decides
from metering.api.console.login import form, require_own_form
from metering.api.console.pages import page
from metering.api.parameters import Instant, Parameters, Storable, micros
from metering.api.problems import ProblemResponseError
from metering.quarantine.decision import Decided, decide
from metering.quarantine.redrive import Action
from schemas.codes import SENTENCES, Code, Refused
from schemas.instant import format_time
from schemas.problems import ProblemCode
from schemas.text import storable

router: Final = APIRouter(prefix="/quarantine")

MAX_REASON_CHARACTERS: Final = 1000
_UNPROCESSABLE: Final = 422


class Chosen(Parameters):
    """The records that are meant; what is left out means any."""

    code: Code | None = None
    source: Storable | None = None
    subject: Storable | None = None
    partition: int | None = Field(None, ge=0, lt=2**31)
    offset: int | None = Field(None, ge=0, lt=2**63)
    after: str | None = Field(None, pattern=r"^[0-9]{1,9}/[0-9]{1,18}/[0-9]{1,9}$")
    refused_by: Instant | None = None

    @property
    def fields(self) -> Mapping[str, Any]:
        """As a form or an address has them."""
        return self.model_dump(exclude_none=True)

    @property
    def place(self) -> Place:
        """Behind which records are looked at."""
        return BEGINNING if self.after is None else Place(*map(int, self.after.split("/")))


@router.get("/{action}")
async def ask(
    request: Request,
    writing: Annotated[Writing, decides(Scope.QUARANTINE_WRITE)],
    action: Action,
    chosen: Annotated[Chosen, Query()],
) -> Response:
    """Say what would be done, and ask for a reason."""
    return await _answer(request, writing, action, chosen)


@router.post("/{action}")
async def answer(
    request: Request,
    writing: Annotated[Writing, decides(Scope.QUARANTINE_WRITE)],
    action: Action,
) -> Response:
    """Do it."""
    require_own_form(request)
    fields = await form(request)
    reason = fields.pop("reason", "").strip()
    try:
        chosen = Chosen.model_validate(fields)
    except ValidationError:
        raise ProblemResponseError(
            ProblemCode.INVALID_REQUEST, "This form is none of the console: open it there."
        ) from None
    return await _answer(request, writing, action, chosen, reason)


async def _answer(
    request: Request, writing: Writing, action: Action, chosen: Chosen, reason: str | None = None
) -> Response:
    """The page of a dry run; or of what was decided, if there is a reason to do it."""
    objection = None if reason is None else _objection(reason)
    is_dry = reason is None or objection is not None
    refused_by_us = micros(chosen.refused_by) or await server.clock_us(writing.connection)
    decided = await decide(
        writing.connection,
        action,
        Selection(chosen.code, chosen.source, chosen.subject, chosen.partition, chosen.offset, refused_by_us),
        writing.access.who,
        reason or "-",
        dry_run=is_dry,
        after=chosen.place,
    )
    fields = {**chosen.fields, "refused_by": format_time(refused_by_us)}
    return page(
        request,
        "decision.html",
        _UNPROCESSABLE if objection else 200,
        action=action,
        chosen=chosen,
        sentence=None if chosen.code is None else SENTENCES[chosen.code],
        fields=fields,
        refused_by_us=refused_by_us,
        decided=decided,
        is_dry=is_dry,
        reason=reason or "",
        objection=objection,
        money=_money(decided),
        onwards=None if decided.after is None else {**fields, "after": "/".join(map(str, decided.after))},
        most_characters=MAX_REASON_CHARACTERS,
    )


def _objection(reason: str) -> str | None:
    """Why a reason is none."""
    if not reason:
        return "Give a reason: it is kept with the decision."
    if len(reason) > MAX_REASON_CHARACTERS:
        return f"Give a reason of at most {MAX_REASON_CHARACTERS} characters."
    try:
        storable(reason)
    except Refused:
        return "Write the reason without U+0000: it cannot be stored."
    return None


def _money(decided: Decided) -> list[str]:
    """What the records would have come to, a text a currency."""
    told = []
    for one in decided.at_risk.money:
        least, most = exact_text(one.least), exact_text(one.most)
        told.append(f"{least} {one.currency}" if least == most else f"{least} to {most} {one.currency}")
    return told
