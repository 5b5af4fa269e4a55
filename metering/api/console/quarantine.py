"""`/quarantine`: what was refused, group by group and record by record, and what became of it."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from aggregator.access import Scope
from aggregator.store import load, redrive
from aggregator.store import quarantine as store
from aggregator.store.connection import Connection
from aggregator.store.quarantine import WAITING
from metering.api.access import Reading
from metering.api.console.admission import sees
from metering.api.console.pages import page
from metering.api.parameters import Parameters, Storable
from metering.api.problems import not_found
from metering.quarantine.groups import alike
from schemas.codes import SENTENCES, Code

router: Final = APIRouter(prefix="/quarantine")

MOST_REFUSALS: Final = 50
MOST_SHOWN_BYTES: Final = 20_000
"""So much of a record's value is shown; `metering quarantine show` shows all."""

PartitionInPath = Annotated[int, Path(ge=0, lt=2**31)]
OffsetInPath = Annotated[int, Path(ge=0, lt=2**63)]


class QuarantineParameters(Parameters):
    """Which refusals."""

    code: Code | None = None
    source: Storable | None = None


@router.get("")
async def quarantine(
    request: Request,
    reading: Annotated[Reading, sees(Scope.STATUS_READ)],
    parameters: Annotated[QuarantineParameters, Query()],
) -> Response:
    """Groups of refusals that are alike, the newest ones, and what each code means."""
    code, source = parameters.code, parameters.source
    groups = alike(await store.groups(reading.connection, code, source, None))
    return page(
        request,
        "quarantine.html",
        code=code,
        source=source,
        groups=groups,
        newest=await store.newest(reading.connection, MOST_REFUSALS, code=code, source=source),
        sentences={one.code: SENTENCES[Code(one.code)] for one in groups},
        waiting=WAITING,
        may_decide=reading.access.allows(Scope.QUARANTINE_WRITE),
    )


@router.get("/{partition}/{offset}")
async def record(
    request: Request,
    reading: Annotated[Reading, sees(Scope.STATUS_READ)],
    partition: PartitionInPath,
    offset: OffsetInPath,
    _parameters: Annotated[Parameters, Query()],
) -> Response:
    """One record: why it was refused, what was decided about it, and to who may decide what it says."""
    may_decide = reading.access.allows(Scope.QUARANTINE_WRITE)
    refusals = await store.refusals(reading.connection, partition, offset)
    if not refusals:
        raise not_found(f"refused record at partition {partition}, offset {offset}")
    return page(
        request,
        "record.html",
        partition=partition,
        offset=offset,
        refusals=refusals,
        meters=await _meters(reading.connection),
        sentences={one.code: SENTENCES[Code(one.code)] for one in refusals},
        decisions=await redrive.history(reading.connection, partition, offset),
        waiting=WAITING,
        may_decide=may_decide,
        kept=(await store.of_record(reading.connection, partition, offset))[0] if may_decide else None,
        most_bytes=MOST_SHOWN_BYTES,
    )


async def _meters(connection: Connection) -> dict[int | None, str]:
    versions = (await load.catalog_within(connection)).versions
    return {one.meter_version_id: f"{one.meter}, version {one.version}" for one in versions}
