"""`/v1/quarantine`: what was refused, and decisions about it, as `metering quarantine` makes them."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from aggregator.access import Scope
from aggregator.rating.amounts import exact_text
from aggregator.remedy import Obstacle
from aggregator.store import quarantine as store
from aggregator.store import server
from aggregator.store.quarantine import State
from aggregator.store.redrive import BEGINNING, Place, Selection
from metering.api.access import Reading, Writing, reads, writes
from metering.api.bodies import REFUSED_BODIES, body_of, read_command
from metering.api.cursors import MAX_CHARACTERS, cursor, place_of
from metering.api.etags import answer
from metering.api.parameters import Instant, Parameters, Storable, TimeText, micros
from metering.quarantine.decision import Decided, decide
from metering.quarantine.groups import alike
from metering.quarantine.redrive import Action
from schemas.codes import Code
from schemas.document import DocumentCode, problem_error
from schemas.rated import Exact

router: Final = APIRouter(prefix="/v1/quarantine", tags=["quarantine"])

Reason = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")]
"""Why somebody decides; not only blanks."""

_GREATEST_PARTITION: Final = 2**31 - 1
_GREATEST_OFFSET: Final = 2**63 - 1


class QuarantineParameters(Parameters):
    """Which refusals."""

    code: Code | None = Field(None, description="Only what was refused with this code.")
    source: Storable | None = Field(None, description="Only what this source sent.")
    subject: Storable | None = Field(None, description="Only this subject's.")


class RefusedGroup(BaseModel):
    """Refusals that are alike."""

    code: Code
    source: str | None = Field(description="null: it could not be read.")
    meter: str | None = Field(description="The one meter that could not read them; null: they were refused.")
    records: int
    waiting: int = Field(description="How many wait for somebody to decide.")
    states: dict[State, int] = Field(description="How many there are of each state.")
    oldest: TimeText = Field(description="When the first was refused.")
    newest: TimeText = Field(description="When the last was refused.")


class RefusedGroups(BaseModel):
    """All groups; there are not so many that this has pages."""

    data: list[RefusedGroup]


class QuarantineDecision(BaseModel):
    """Which of the records that wait are meant, and why; what is null means any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Reason = Field(description="Why; it is kept for good, with the name of the token.")
    code: Code | None = None
    source: Storable | None = None
    subject: Storable | None = None
    partition: StrictInt | None = Field(None, ge=0, le=_GREATEST_PARTITION)
    offset: StrictInt | None = Field(None, ge=0, le=_GREATEST_OFFSET, description="Of `partition`.")
    refused_by: Instant | None = Field(
        None,
        description="Only what was refused by then: as a dry run says, so that nothing is added.",
    )
    all: StrictBool = Field(default=False, description="All that waits: say so, if nothing else is chosen.")

    @model_validator(mode="after")
    def _is_meant(self) -> "QuarantineDecision":
        chosen = [self.code, self.source, self.subject, self.partition]
        if self.offset is not None and self.partition is None:
            raise problem_error(
                DocumentCode.CONTRADICTION, "an offset is one of a partition: add `partition`"
            )
        if self.all == any(one is not None for one in chosen):
            raise problem_error(
                DocumentCode.CONTRADICTION,
                "say which records by their code, source and so on, or `all` of them",
            )
        return self


class DecisionParameters(Parameters):
    """How to decide."""

    dry_run: bool = Field(default=False, description="Only say what would be done; write nothing.")
    cursor: str | None = Field(
        None, max_length=MAX_CHARACTERS, description="`next_cursor` of the answer before; none at first."
    )


class LeftAlone(BaseModel):
    """Records that cannot be brought back as they are, for one reason."""

    code: Obstacle
    records: int
    detail: str = Field(description="What stands in the way of the first, and what to do.")
    partition: int = Field(description="Of the first.")
    offset: int = Field(description="Of the first.")


class MoneyAtRisk(BaseModel):
    """What usage would cost in one currency, each subject's as one period, on the plans of today."""

    currency: str
    least: Exact
    most: Exact


class QuarantineDecided(BaseModel):
    """What was decided, or would be."""

    action: Literal["redrive", "discard"]
    dry_run: bool
    records: int
    refused: list[LeftAlone]
    at_risk: list[MoneyAtRisk] = Field(description="An estimate of what these records would have come to.")
    not_estimated: int = Field(description="Records that are in no estimate.")
    refused_by: TimeText = Field(description="Nothing that was refused later was looked at.")
    next_cursor: str | None = Field(
        description="null: that was all; else more records wait: send the same again with this as `cursor`."
    )


@router.get("", response_model=RefusedGroups, summary="What was refused, and what became of it")
async def groups(
    request: Request,
    reading: Annotated[Reading, reads(Scope.STATUS_READ)],
    parameters: Annotated[QuarantineParameters, Query()],
) -> Response:
    """By code, source and meter."""
    found = alike(
        await store.groups(reading.connection, parameters.code, parameters.source, parameters.subject)
    )
    shown = RefusedGroups(
        data=[
            RefusedGroup(
                code=Code(one.code),
                source=one.source,
                meter=one.meter,
                records=sum(one.states.values()),
                waiting=one.waiting,
                states=one.states,
                oldest=one.oldest_us,
                newest=one.newest_us,
            )
            for one in found
        ]
    )
    return answer(request, shown.model_dump_json().encode())


@router.post(
    "/redrive",
    response_model=QuarantineDecided,
    summary="Bring refused records back",
    responses=REFUSED_BODIES,
    openapi_extra=body_of(QuarantineDecision),
)
async def redrive(
    request: Request,
    writing: Annotated[Writing, writes(Scope.QUARANTINE_WRITE)],
    parameters: Annotated[DecisionParameters, Query()],
) -> Response:
    """Bring back what waits and can be counted now, each record once, however often this is sent.

    Workers publish it to its subject's partition and count it; in a closed period it becomes an adjustment.
    One request looks at 5,000 records.
    """
    return await _decide(request, writing, parameters, "redrive")


@router.post(
    "/discard",
    response_model=QuarantineDecided,
    summary="Give refused records up",
    responses=REFUSED_BODIES,
    openapi_extra=body_of(QuarantineDecision),
)
async def discard(
    request: Request,
    writing: Annotated[Writing, writes(Scope.QUARANTINE_WRITE)],
    parameters: Annotated[DecisionParameters, Query()],
) -> Response:
    """Give up what waits, for good: it stays in quarantine, marked. One request looks at 5,000 records."""
    return await _decide(request, writing, parameters, "discard")


async def _decide(
    request: Request, writing: Writing, parameters: DecisionParameters, action: Action
) -> Response:
    wanted = await read_command(request, QuarantineDecision)
    query: list[Any] = [action, wanted.model_dump(mode="json")]
    after = BEGINNING
    if parameters.cursor is not None:
        after = Place(*place_of(parameters.cursor, query, [int, int, int]))
    refused_by_us = micros(wanted.refused_by) or await server.clock_us(writing.connection)
    decided = await decide(
        writing.connection,
        action,
        Selection(wanted.code, wanted.source, wanted.subject, wanted.partition, wanted.offset, refused_by_us),
        writing.access.who,
        wanted.reason,
        dry_run=parameters.dry_run,
        after=after,
    )
    shown = QuarantineDecided(
        action=action,
        dry_run=parameters.dry_run,
        refused_by=refused_by_us,
        next_cursor=None if decided.after is None else cursor(decided.after, query),
        **_shown(decided),
    )
    return Response(
        shown.model_dump_json(), headers={"cache-control": "no-store"}, media_type="application/json"
    )


def _shown(decided: Decided) -> dict[str, Any]:
    return {
        "records": decided.records,
        "refused": [
            LeftAlone(
                code=one.obstacle,
                records=one.records,
                detail=one.sentence,
                partition=one.first.partition,
                offset=one.first.offset,
            )
            for one in decided.hindrances
        ],
        "at_risk": [
            MoneyAtRisk(currency=one.currency, least=exact_text(one.least), most=exact_text(one.most))
            for one in decided.at_risk.money
        ],
        "not_estimated": decided.at_risk.not_estimated,
    }
