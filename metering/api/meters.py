"""`GET /v1/meters`: what is counted, and how."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from aggregator.access import Scope
from aggregator.store import load
from aggregator.store.load import StoredMeterVersion
from metering.api.access import Reading, reads
from metering.api.etags import answer
from metering.api.parameters import Parameters, TimeText

router: Final = APIRouter(prefix="/v1", tags=["meters"])


class MeterVersion(BaseModel):
    """A meter as it is, or as it was."""

    meter: str
    version: int
    effective_from: TimeText | None = Field(description="Event time; null: from the beginning.")
    retired: bool = Field(description="Whether it counts nothing any more from then on.")
    definition: dict[str, Any] = Field(description="As in the catalog.")


class Meters(BaseModel):
    """Every meter; there are not so many that this has pages."""

    data: list[MeterVersion]


class MeterParameters(Parameters):
    """Which versions to show."""

    history: bool = Field(default=False, description="Past and retired versions too.")


@router.get("/meters", response_model=Meters, summary="What is counted, and how")
async def meters(
    request: Request,
    reading: Annotated[Reading, reads(Scope.USAGE_READ)],
    parameters: Annotated[MeterParameters, Query()],
) -> Response:
    """The newest version of each meter, or all versions there ever were."""
    versions = (await load.catalog_within(reading.connection)).versions
    if not parameters.history:
        newest = {version.meter: version for version in sorted(versions, key=lambda one: one.version)}
        versions = [version for version in newest.values() if not version.retired]
    shown = Meters(data=[_shown(one) for one in sorted(versions, key=lambda one: (one.meter, one.version))])
    return answer(request, shown.model_dump_json().encode())


def _shown(one: StoredMeterVersion) -> MeterVersion:
    return MeterVersion(
        meter=one.meter,
        version=one.version,
        effective_from=one.effective_from_us,
        retired=one.retired,
        definition=one.definition,
    )
