"""`/rated-totals`: a version line by line, tier by tier; and what lies behind it, as far as tables know."""

from typing import Annotated, Final, NamedTuple

from fastapi import APIRouter, Query, Request, Response

from aggregator.access import Scope
from aggregator.store import explanation, load, rated, search
from aggregator.store.connection import Connection
from aggregator.store.explanation import LedgerRange
from aggregator.store.search import Behind
from metering.api.access import Reading
from metering.api.console.admission import sees
from metering.api.console.pages import page
from metering.api.parameters import NameInPath, Parameters, micros
from metering.api.rated import Number, Start, version_document
from schemas.instant import parse_time_us
from schemas.rated import RatedTotal, version_id

router: Final = APIRouter(prefix="/rated-totals/{name}/{start}/{version}")


class Part(NamedTuple):
    """What one charge of a segment rests on, in one partition."""

    segment: str
    charge: str
    meter: str
    behind: Behind
    first: LedgerRange | None  # the ledger's batch of the first offset, and of the last
    last: LedgerRange | None


@router.get("")
async def rated_total(
    request: Request,
    reading: Annotated[Reading, sees(Scope.RATED_READ)],
    name: NameInPath,
    start: Start,
    version: Number,
    _parameters: Annotated[Parameters, Query()],
) -> Response:
    """A version, and the others of its period."""
    document = await _document(reading, name, start, version)
    versions = await rated.versions(reading.connection, name, micros(start) or 0)
    return page(
        request,
        "rated.html",
        document=document,
        versions=versions,
        this=versions[version - 1],
        id=version_id(name, document.period.start, version),
    )


@router.get("/explain")
async def explain(
    request: Request,
    reading: Annotated[Reading, sees(Scope.RATED_READ)],
    name: NameInPath,
    start: Start,
    version: Number,
    _parameters: Annotated[Parameters, Query()],
) -> Response:
    """Offsets and batches behind a version; the log itself is read by `metering explain` alone."""
    document = await _document(reading, name, start, version)
    return page(
        request,
        "explain.html",
        document=document,
        parts=await _parts(reading.connection, document),
        shows_batches=reading.access.allows(Scope.STATUS_READ),
        id=version_id(name, document.period.start, version),
    )


async def _document(reading: Reading, name: str, start: str, version: int) -> RatedTotal:
    return RatedTotal.model_validate_json(await version_document(reading, name, start, version))


async def _parts(connection: Connection, document: RatedTotal) -> list[Part]:
    ids: dict[tuple[str, int], int] = {
        (one.meter, one.version): one.meter_version_id
        for one in (await load.catalog_within(connection)).versions
    }
    found = []
    for segment in document.segments:
        terms = await explanation.subscription(
            connection, document.subscription, segment.subscription_version
        )
        start_us, end_us = parse_time_us(segment.start), parse_time_us(segment.end)
        for charge in segment.charges:
            if charge.meter is None:
                continue
            meter_versions = [ids[charge.meter, version] for version in charge.meter_versions]
            scope = explanation.Scope(meter_versions, terms["subjects"], start_us, end_us)
            for behind in await search.behind(connection, scope, parse_time_us(document.cut)):
                ends = [
                    await _batch(connection, behind.partition, offset)
                    for offset in (behind.first_offset, behind.last_offset)
                ]
                found.append(Part(segment.start, charge.charge, charge.meter, behind, *ends))
    return found


async def _batch(connection: Connection, partition: int, offset: int) -> LedgerRange | None:
    batches = await explanation.batches(connection, partition, offset, offset + 1)
    return batches[0] if batches else None
