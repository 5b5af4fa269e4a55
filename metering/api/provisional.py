"""`GET /v1/subscriptions/{name}/provisional`: what a period would come to so far."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from aggregator.access import Scope
from aggregator.rating.canonical import canonical
from aggregator.store import terms
from aggregator.store.errors import NoSuchPeriod, NoSuchSubscription, PeriodIsRated
from aggregator.store.provisional import provisional as read_provisional
from metering.api import tenancy
from metering.api.access import Reading, reads
from metering.api.etags import answer
from metering.api.parameters import Instant, NameInPath, Parameters, micros
from metering.api.problems import ProblemResponseError, not_found
from metering.api.services import services_of
from schemas.problems import ProblemCode
from schemas.rated import ProvisionalTotal

router: Final = APIRouter(prefix="/v1", tags=["rated totals"])


class ProvisionalParameters(Parameters):
    """Which period."""

    at: Instant | None = Field(None, description="Some time in it; by default the one that is open.")


@router.get(
    "/subscriptions/{name}/provisional",
    response_model=ProvisionalTotal,
    summary="What a period comes to so far",
    responses={409: {"description": ProblemCode.PERIOD_IS_RATED.sentence}},
)
async def provisional(
    request: Request,
    reading: Annotated[Reading, reads(Scope.RATED_READ)],
    name: NameInPath,
    parameters: Annotated[ProvisionalParameters, Query()],
) -> Response:
    """What a period that is not rated yet would come to with all that has been counted.

    It is marked with the log time that it rests on, and computed as the final total will be.
    """
    await tenancy.require_own(reading.connection, reading.access, name)
    services = services_of(request)
    services.catalog = await terms.rating_catalog(reading.connection, services.catalog)
    try:
        total = await read_provisional(reading.connection, services.catalog, name, micros(parameters.at))
    except NoSuchSubscription:
        raise not_found(f"subscription {name}") from None
    except NoSuchPeriod:
        raise not_found(f"period of {name} at that time") from None
    except PeriodIsRated:
        raise ProblemResponseError(
            ProblemCode.PERIOD_IS_RATED,
            f"This period of {name} is rated: see /v1/subscriptions/{name}/periods.",
        ) from None
    document = canonical(total)
    return answer(request, document.text.encode(), digest=document.digest)
