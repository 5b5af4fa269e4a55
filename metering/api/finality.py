"""`GET /v1/finality`: what is final of each meter, what is next, and what that waits for."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from aggregator.access import Scope
from aggregator.finality import MeterFinality, Waiting, meter_finality
from aggregator.store import finality as store
from metering.api.access import Reading, reads
from metering.api.etags import answer
from metering.api.parameters import Parameters, TimeText

router: Final = APIRouter(prefix="/v1", tags=["usage"])


class FinalMeter(BaseModel):
    """How far one meter is final. All times are of the log, none of a clock on a wall."""

    meter: str
    version: int = Field(description="The version that the next window belongs to.")
    final_before: TimeText | None = Field(
        description="Windows that end then or earlier never change; null: nothing is final yet."
    )
    next_window_end: TimeText | None = Field(description="End of the window that is final next.")
    needed_log_time: TimeText | None = Field(description="What every partition must reach for that.")
    waiting_for: Waiting = Field(
        description="`time`: no partition has come so far; `partition`: others have; `closer`: all have, and "
        "it is about to be said; `nothing`: the meter is retired."
    )
    partition: int | None = Field(description="The partition furthest behind.")
    frontier: TimeText | None = Field(description="How far that one is counted; null: no record yet.")


class Finality(BaseModel):
    """What is final."""

    log_time: TimeText | None = Field(
        description="The log time that every partition has reached, on which all that is final rests."
    )
    data: list[FinalMeter]


@router.get("/finality", response_model=Finality, summary="What is final")
async def finality(
    request: Request,
    reading: Annotated[Reading, reads(Scope.USAGE_READ)],
    _parameters: Annotated[Parameters, Query()],
) -> Response:
    """Per meter up to when it is final, which window is next, and which partition holds that back."""
    state = await store.finality(reading.connection)
    shown = Finality(
        log_time=state.closing_us,
        data=[
            _shown(meter_finality(versions, state.final_before_us, state.frontiers))
            for versions in state.meters.values()
        ],
    )
    return answer(request, shown.model_dump_json().encode())


def _shown(one: MeterFinality) -> FinalMeter:
    return FinalMeter(
        meter=one.meter,
        version=one.version,
        final_before=one.final_before_us,
        next_window_end=one.next_end_us,
        needed_log_time=one.needed_us,
        waiting_for=one.waiting_for,
        partition=one.partition,
        frontier=one.frontier_us,
    )
