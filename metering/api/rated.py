"""`GET /v1/subscriptions/{name}/periods/…`: final totals in versions, and what each version changed."""

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from aggregator.access import Scope
from aggregator.store import rated, reading
from aggregator.store.connection import BEGINNING_US
from aggregator.store.rated import Version
from metering.api import tenancy
from metering.api.access import Reading, reads
from metering.api.cursors import cursor, place_of
from metering.api.etags import answer
from metering.api.parameters import Instant, NameInPath, Paged, Parameters, TimeText, micros
from metering.api.problems import not_found
from schemas.instant import format_time
from schemas.number import plain_text
from schemas.rated import Difference, Exact, RatedTotal

router: Final = APIRouter(prefix="/v1/subscriptions/{name}/periods", tags=["rated totals"])

MAX_VERSION: Final = 2**31 - 1
Start = Annotated[Instant, Path(description="When the period begins.")]
Number = Annotated[int, Path(ge=1, le=MAX_VERSION, description="The version: 1, 2, …")]


class RatedVersion(BaseModel):
    """One immutable version of what a period comes to."""

    subscription: str
    customer: str
    period_start: TimeText
    period_end: TimeText
    version: int
    cut: TimeText = Field(description="Log time: it holds exactly the adjustments that are older.")
    currency: str
    amount: Exact
    unrounded_amount: Exact
    difference: Exact | None = Field(description="Of the amount, to the version before; null in the first.")
    digest: str = Field(description="SHA-256 of its document, which is its ETag too.")


class RatedPeriods(BaseModel):
    """Rated periods in order of time, each with its newest version."""

    data: list[RatedVersion]
    next_cursor: str | None


class RatedVersions(BaseModel):
    """Every version of a period, the first one first."""

    data: list[RatedVersion]


class VersionDifference(BaseModel):
    """How a version differs from the one before, in units and money."""

    subscription: str
    period_start: TimeText
    version: int
    currency: str
    difference: Difference | None = Field(description="null: it is the first.")


@router.get("", response_model=RatedPeriods, summary="Rated periods")
async def periods(
    request: Request,
    reading_: Annotated[Reading, reads(Scope.RATED_READ)],
    name: NameInPath,
    parameters: Annotated[Paged, Query()],
) -> Response:
    """Every period of a subscription that is final and rated."""
    await tenancy.require_own(reading_.connection, reading_.access, name)
    asked = ["periods", name]
    after_us = BEGINNING_US if parameters.cursor is None else place_of(parameters.cursor, asked, [int])[0]
    found = await reading.rated_periods(reading_.connection, name, after_us, parameters.limit)
    more = len(found) == parameters.limit
    shown = RatedPeriods(
        data=list(map(_shown, found)),
        next_cursor=cursor([found[-1].period_start_us], asked) if more else None,
    )
    return answer(request, shown.model_dump_json().encode())


@router.get("/{start}/versions", response_model=RatedVersions, summary="The versions of a period")
async def versions(
    request: Request,
    reading_: Annotated[Reading, reads(Scope.RATED_READ)],
    name: NameInPath,
    start: Start,
    _parameters: Annotated[Parameters, Query()],
) -> Response:
    """Every version of a period: none is ever changed, a later one only says what came later."""
    await tenancy.require_own(reading_.connection, reading_.access, name)
    found = await rated.versions(reading_.connection, name, micros(start) or 0)
    if not found:
        raise not_found(f"rated period of {name} that begins at {start}")
    return answer(request, RatedVersions(data=list(map(_shown, found))).model_dump_json().encode())


@router.get("/{start}/versions/{version}", response_model=RatedTotal, summary="A rated total, line by line")
async def version(
    request: Request,
    reading_: Annotated[Reading, reads(Scope.RATED_READ)],
    name: NameInPath,
    start: Start,
    version: Number,
    _parameters: Annotated[Parameters, Query()],
) -> Response:
    """The document of a version, byte by byte as it was digested: its ETag is its SHA-256."""
    return answer(request, (await version_document(reading_, name, start, version)).encode())


@router.get(
    "/{start}/versions/{version}/difference",
    response_model=VersionDifference,
    summary="What a version changed",
)
async def difference(
    request: Request,
    reading_: Annotated[Reading, reads(Scope.RATED_READ)],
    name: NameInPath,
    start: Start,
    version: Number,
    _parameters: Annotated[Parameters, Query()],
) -> Response:
    """How a version differs from the one before, line by line: what a credit or a debit note needs."""
    document = msgspec.json.decode(await version_document(reading_, name, start, version))
    shown = VersionDifference(
        subscription=name,
        period_start=micros(start) or 0,
        version=version,
        currency=document["currency"],
        difference=document["difference"],
    )
    return answer(request, shown.model_dump_json().encode())


async def version_document(reading_: Reading, name: str, start: str, version: int) -> str:
    """The document of a version that the token may see."""
    await tenancy.require_own(reading_.connection, reading_.access, name)
    start_us = micros(start) or 0
    text = await rated.document(reading_.connection, name, start_us, version)
    if text is None:
        raise not_found(f"rated total {name}/{format_time(start_us)}/{version}")
    return text


def _shown(one: Version) -> RatedVersion:
    return RatedVersion(
        subscription=one.subscription,
        customer=one.customer,
        period_start=one.period_start_us,
        period_end=one.period_end_us,
        version=one.version,
        cut=one.cut_us,
        currency=one.currency,
        amount=plain_text(one.amount),
        unrounded_amount=one.unrounded_amount,
        difference=None if one.difference is None else plain_text(one.difference),
        digest=one.digest.hex(),
    )
