"""`GET /v1/rated-totals` and `/v1/thresholds`: what is new, once and in order."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from aggregator.access import Scope
from aggregator.store import feed
from aggregator.store.feed import Kind
from metering.api.access import Reading, reads
from metering.api.cursors import MAX_CHARACTERS, cursor, place_of
from metering.api.etags import answer
from metering.api.parameters import MAX_LIMIT, Parameters
from metering.api.problems import ProblemResponseError
from schemas.problems import ProblemCode
from schemas.rated import RatedTotalNotice, ThresholdNotice

router: Final = APIRouter(prefix="/v1", tags=["feed"])

_FEED: Final = ["feed"]  # one feed, so one kind of cursor, whoever reads and whatever of it


class FeedParameters(Parameters):
    """Where to go on."""

    after: str | None = Field(
        None,
        max_length=MAX_CHARACTERS,
        description="`next_cursor` of the answer before; none: from the beginning.",
    )
    limit: int = Field(100, ge=1, le=MAX_LIMIT, description="Most items of an answer.")


class RatedTotalsNews(BaseModel):
    """New versions of rated totals, in the order in which they became visible."""

    data: list[RatedTotalNotice]
    next_cursor: str = Field(description="Keep it with what you did about `data`, and ask again `after` it.")


class ThresholdNews(BaseModel):
    """Thresholds that were crossed, each told once a period, in the order in which that became visible."""

    data: list[ThresholdNotice]
    next_cursor: str = Field(description="Keep it with what you did about `data`, and ask again `after` it.")


@router.get("/rated-totals", response_model=RatedTotalsNews, summary="New versions of rated totals")
async def rated_totals(
    request: Request,
    reading: Annotated[Reading, reads(Scope.FEED_READ)],
    parameters: Annotated[FeedParameters, Query()],
) -> Response:
    """Every version of every rated total, once and in order, also while others are being written.

    Store the cursor in the transaction that books what it came with, and nothing is booked twice or missed.
    An answer without data means that there is nothing new yet: ask again later, with its cursor.
    """
    return await _news(request, reading, parameters, "rated_total")


@router.get("/thresholds", response_model=ThresholdNews, summary="Thresholds that were crossed")
async def thresholds(
    request: Request,
    reading: Annotated[Reading, reads(Scope.FEED_READ)],
    parameters: Annotated[FeedParameters, Query()],
) -> Response:
    """Every threshold that a subscription's usage or amount has crossed, once a period and in order."""
    return await _news(request, reading, parameters, "threshold")


async def _news(request: Request, reading: Reading, parameters: FeedParameters, kind: Kind) -> Response:
    """The cursor is the feed's position: whoever sees one sees all before it, so none is ever missed.

    When there is nothing more, it moves on to the feed's end, behind what this token does not see.
    """
    after = 0 if parameters.after is None else place_of(parameters.after, _FEED, [int])[0]
    end = await feed.end(reading.connection)
    if not 0 <= after <= end:
        raise ProblemResponseError(
            ProblemCode.INVALID_CURSOR,
            "It is ahead of the feed. If the database was restored to an earlier time, read from the "
            "beginning: ids are as they were.",
        )
    entries = await feed.read(
        reading.connection, after, parameters.limit, customers=reading.access.customers, kind=kind
    )
    last = entries[-1].position if len(entries) == parameters.limit else end
    # The payloads as they are kept: what has a digest is not written anew.
    data = ",".join(entry.payload for entry in entries)
    return answer(request, f'{{"data":[{data}],"next_cursor":"{cursor([last], _FEED)}"}}'.encode())
