"""`metering totals`: what was counted."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from cyclopts import Parameter

from aggregator.finality import meter_final_before_us
from aggregator.rating.amounts import exact_text
from aggregator.store import finality, load, migrate
from aggregator.store import totals as store
from aggregator.store.totals import Total
from metering.cli.instants import instant_us
from metering.cli.output import Json, print_json, print_table, time_text
from metering.database import database
from metering.errors import UsageError
from metering.settings import Settings, load_settings
from schemas.catalog import Meter
from schemas.number import plain_text

PROVISIONAL, FINAL = "provisional", "final"


class _Query(NamedTuple):
    meter: str | None  # None: every meter
    subject: str | None
    group_by: Sequence[str]
    from_us: int | None
    to_us: int | None
    by_window: bool


class _Found(NamedTuple):
    meter: str
    total: Total
    status: str


def totals(
    *,
    meter: Annotated[str | None, Parameter(help="The meter's name; by default every meter.")] = None,
    subject: Annotated[str | None, Parameter(help="Only this subject.")] = None,
    group_by: Annotated[
        str | None, Parameter(help="Group names, with commas, to tell totals apart by.")
    ] = None,
    from_: Annotated[str | None, Parameter(name="--from", help="Windows that start here or later.")] = None,
    to: Annotated[str | None, Parameter(help="Windows that start earlier than this.")] = None,
    by_window: Annotated[
        bool, Parameter(negative=(), help="Each window by itself, instead of sums.")
    ] = False,
    average: Annotated[
        bool, Parameter(negative=(), help="Also the value per event, of `sum` meters.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show windows, or their sums over a range, with everything counted so far.

    `final`: the closer has made every window in it final, so nothing on time can follow; what comes later is
    an adjustment, which these totals include.
    """
    names = [name.strip() for name in group_by.split(",")] if group_by else []
    query = _Query(meter, subject, names, instant_us(from_, "--from"), instant_us(to, "--to"), by_window)
    found = asyncio.run(_read(load_settings(), query))
    if as_json:
        print_json(*(_line(one) | (_average(one) if average else {}) for one in found))
        return
    print_table(
        "Totals by window" if by_window else "Totals",
        [
            "Meter",
            "Subject",
            *names,
            "Start",
            "End",
            "Value",
            "Events",
            "Status",
            *(["Average"] if average else []),
        ],
        ((*_row(one, names), *(_average(one).values() if average else ())) for one in found),
    )


async def _read(settings: Settings, query: _Query) -> list[_Found]:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        versions: dict[str, list[Meter]] = {}
        for one in (await load.catalog(connection)).versions:
            versions.setdefault(one.meter, []).append(Meter.from_definition(one.definition))
        chosen = _chosen(query, versions)
        # Before the totals: then what is called final holds all that was on time.
        state = await finality.finality(connection)
        read = store.windows if query.by_window else store.sums
        found = []
        for meter in chosen:
            final_us = meter_final_before_us(state.meters[meter], state.final_before_us)
            found += [
                _Found(meter, total, _status(total, final_us))
                for total in await read(
                    connection,
                    meter,
                    subject=query.subject,
                    group_by=query.group_by,
                    from_us=query.from_us,
                    to_us=query.to_us,
                )
            ]
        return found


def _chosen(query: _Query, versions: Mapping[str, Sequence[Meter]]) -> list[str]:
    """The meters asked for, by name."""
    meters = sorted(versions)
    if query.meter is not None:
        if query.meter not in versions:
            raise UsageError(
                "unknown_meter",
                f"There is no meter {query.meter!r}; there are: {', '.join(meters) or 'none'}.",
            )
        meters = [query.meter]
    known = {name for meter in meters for version in versions[meter] for name in version.group_by}
    for name in query.group_by:
        if name not in known:
            raise UsageError(
                "unknown_group",
                f"There is no group {name!r}; there are: {', '.join(sorted(known)) or 'none'}.",
            )
    return meters


def _status(total: Total, final_before_us: int | None) -> str:
    return FINAL if final_before_us is not None and total.end_us <= final_before_us else PROVISIONAL


def _line(found: _Found) -> dict[str, Any]:
    total = found.total
    line = {
        "meter": found.meter,
        "subject": total.subject,
        "group": dict(total.groups),
        "start": time_text(total.start_us),
        "end": time_text(total.end_us),
        "value": None if total.value is None else plain_text(total.value),
        "events": total.events,
        "status": found.status,
    }
    if total.is_other:
        line["other"] = True
    return line


def _average(found: _Found) -> dict[str, str | None]:
    average = found.total.average
    return {"average": None if average is None else exact_text(average)}


def _row(found: _Found, names: Sequence[str]) -> tuple[object, ...]:
    total = found.total
    groups = ["(other)" if total.is_other else total.groups[name] for name in names]
    start, end = time_text(total.start_us), time_text(total.end_us)
    return (found.meter, total.subject, *groups, start, end, total.value, total.events, found.status)
