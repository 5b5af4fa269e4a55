"""`GET /v1/usage`: what was counted, by window or summed."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, NamedTuple

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from aggregator.access import Scope
from aggregator.finality import meter_final_before_us
from aggregator.store import finality, load, reading
from aggregator.store.connection import Connection
from aggregator.store.reading import Place, Stretch, UsageQuery
from aggregator.store.totals import Total
from metering.api.access import Reading, reads
from metering.api.cursors import cursor, place_of
from metering.api.etags import answer
from metering.api.parameters import Instant, Paged, Storable, TimeText, micros
from metering.api.problems import ProblemResponseError, not_found
from metering.api.tenancy import visible_subjects
from schemas.catalog import Meter
from schemas.number import plain_text
from schemas.problems import ProblemCode, ProblemError

router: Final = APIRouter(prefix="/v1", tags=["usage"])


class UsageParameters(Paged):
    """Which usage."""

    meter: Storable = Field(description="The meter's name.")
    subject: Storable | None = Field(None, description="Only this one.")
    group_by: list[Storable] = Field(
        default_factory=list, max_length=16, description="Groups of the meter to tell usage apart by."
    )
    from_: Instant | None = Field(None, alias="from", description="Windows that start then or later.")
    to: Instant | None = Field(None, description="Windows that start earlier.")
    by_window: bool = Field(default=False, description="Each window by itself, instead of sums.")


class UsageRow(BaseModel):
    """What one subject used in one window, or in all windows of the span."""

    meter: str
    subject: str
    group: dict[str, str | None] = Field(description="Name to value; null where events have none.")
    other: bool = Field(description="Whether it holds what the meter's cardinality limit turned away.")
    start: TimeText = Field(description="Of the first window in it.")
    end: TimeText = Field(description="Of the last window in it.")
    value: str | None = Field(
        description="An exact decimal, with all beside it; null: nothing is left, of a gauge no point."
    )
    on_time_value: str | None = Field(description="What came before its window was final; null: nothing.")
    events: int = Field(description="Events behind it, less those withdrawn.")
    adjustments: int = Field(description="How many of the rows behind it came after their window was final.")
    status: Literal["final", "provisional"] = Field(
        description="`final`: its windows never change; what may follow is an adjustment."
    )


class UsagePage(BaseModel):
    """Rows by subject, then by time. A page may have fewer rows than asked for, even none, and go on."""

    data: list[UsageRow]
    next_cursor: str | None


class MeterVersions(NamedTuple):
    """Every version there ever was of one meter."""

    versions: Mapping[int, Meter]  # by id

    @property
    def group_names(self) -> set[str]:
        """The groups that a version has."""
        return {name for version in self.versions.values() for name in version.group_by}


@router.get("/usage", response_model=UsagePage, summary="What was counted")
async def usage(
    request: Request,
    reading_: Annotated[Reading, reads(Scope.USAGE_READ)],
    parameters: Annotated[UsageParameters, Query()],
) -> Response:
    """What was counted so far, of one meter.

    A token for some customers sees the subjects of their subscriptions, for as long as they are theirs; a
    subject that it may not see has no usage for it.
    """
    connection = reading_.connection
    meter = await meter_named(connection, parameters.meter)
    _check_groups(parameters.group_by, meter)
    query = UsageQuery(
        meter=parameters.meter,
        meter_version_ids=list(meter.versions),
        window_us=max(version.window_us for version in meter.versions.values()),
        subject=parameters.subject,
        visible=await visible_subjects(connection, reading_.access, parameters.subject),
        group_by=parameters.group_by,
        span=Stretch(micros(parameters.from_), micros(parameters.to)),
        by_window=parameters.by_window,
    )
    asked = [
        query.meter,
        query.subject,
        list(query.group_by),
        list(query.span),
        query.by_window,
        sorted(reading_.access.customers or []),
    ]
    after = None if parameters.cursor is None else _place(parameters.cursor, asked)
    final_before_us = await final_before_us_of(connection, parameters.meter)
    page = await reading.usage(connection, query, after, parameters.limit)
    shown = UsagePage(
        data=[_row(query.meter, row, final_before_us) for row in page.rows],
        next_cursor=None if page.end is None else cursor(_told(page.end), asked),
    )
    return answer(request, shown.model_dump_json().encode())


async def meter_named(connection: Connection, name: str) -> MeterVersions:
    """The versions of a meter, read in one snapshot.

    Raises:
        ProblemResponseError: there is no such meter (`not_found`).
    """
    versions = {
        one.meter_version_id: Meter.from_definition(one.definition)
        for one in (await load.catalog_within(connection)).versions
        if one.meter == name
    }
    if not versions:
        raise not_found(f"meter {name}")
    return MeterVersions(versions)


def _check_groups(names: Sequence[str], meter: MeterVersions) -> None:
    known = meter.group_names
    errors = [
        ProblemError(
            code="unknown_group",
            pointer="query.group_by",
            detail=f"The meter has no group {name}; it has: {', '.join(sorted(known)) or 'none'}.",
        )
        for name in names
        if name not in known
    ]
    if errors:
        raise ProblemResponseError(
            ProblemCode.INVALID_REQUEST, "Not as the contract says: query.group_by.", errors=errors
        )


def _place(text: str, asked: Sequence[Any]) -> Place:
    subject, start_us, is_other, groups, aggregation = place_of(text, asked, [str, int, bool, list, str])
    try:
        return Place(
            subject, start_us, is_other, tuple((bool(has), str(value)) for has, value in groups), aggregation
        )
    except (TypeError, ValueError):
        raise ProblemResponseError(ProblemCode.INVALID_CURSOR, "It cannot be read.") from None


def _told(place: Place) -> list[Any]:
    return [
        place.subject,
        place.start_us,
        place.is_other,
        [list(one) for one in place.groups],
        place.aggregation,
    ]


async def final_before_us_of(connection: Connection, meter: str) -> int | None:
    """Up to when all versions of a meter are final."""
    state = await finality.finality(connection)
    return meter_final_before_us(state.meters[meter], state.final_before_us)


def _row(meter: str, row: Total, final_before_us: int | None) -> UsageRow:
    is_final = final_before_us is not None and row.end_us <= final_before_us
    return UsageRow(
        meter=meter,
        subject=row.subject,
        group=dict(row.groups),
        other=row.is_other,
        start=row.start_us,
        end=row.end_us,
        value=_exact(row.value),
        on_time_value=_exact(row.on_time_value),
        events=row.events,
        adjustments=row.adjustment_events,
        status="final" if is_final else "provisional",
    )


def _exact(value: Decimal | None) -> str | None:
    return None if value is None else plain_text(value)
