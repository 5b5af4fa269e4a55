"""`metering totals`: what was counted."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple

from cyclopts import Parameter

from aggregator.store import load, migrate, status
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
    meter: str
    subject: str | None
    group_by: Sequence[str]
    from_us: int | None
    to_us: int | None
    by_window: bool


class _Answer(NamedTuple):
    totals: Sequence[Total]
    final_until_us: int | None  # ends up to here are final; None: nothing is


def totals(
    *,
    meter: Annotated[str, Parameter(help="The meter's name.")],
    subject: Annotated[str | None, Parameter(help="Only this subject.")] = None,
    group_by: Annotated[
        str | None, Parameter(help="Group names, with commas, to tell totals apart by.")
    ] = None,
    from_: Annotated[str | None, Parameter(name="--from", help="Windows that start here or later.")] = None,
    to: Annotated[str | None, Parameter(help="Windows that start earlier than this.")] = None,
    by_window: Annotated[
        bool, Parameter(negative=(), help="Each window by itself, instead of sums.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show windows, or their sums over a range, with everything counted so far.

    `final`: every partition's frontier has passed the end and the meter's grace, so nothing on time can
    follow; what comes later is an adjustment, which these totals include.
    """
    names = [name.strip() for name in group_by.split(",")] if group_by else []
    query = _Query(meter, subject, names, instant_us(from_, "--from"), instant_us(to, "--to"), by_window)
    answer = asyncio.run(_read(load_settings(), query))
    if as_json:
        print_json(*(_line(meter, total, answer.final_until_us) for total in answer.totals))
        return
    print_table(
        f"{meter}{' by window' if by_window else ''}",
        ["Subject", *names, "Start", "End", "Value", "Events", "Status"],
        (_row(total, names, answer.final_until_us) for total in answer.totals),
    )


async def _read(settings: Settings, query: _Query) -> _Answer:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        catalog = await load.catalog(connection)
        versions = [
            Meter.from_definition(one.definition) for one in catalog.versions if one.meter == query.meter
        ]
        _check(query, versions, sorted({one.meter for one in catalog.versions}))
        # Before the totals: then what is called final holds all that was on time.
        frontiers_us = [partition.frontier_us for partition in await status.partitions(connection)]
        read = store.windows if query.by_window else store.sums
        found = await read(
            connection,
            query.meter,
            subject=query.subject,
            group_by=query.group_by,
            from_us=query.from_us,
            to_us=query.to_us,
        )
    return _Answer(found, _final_until_us(frontiers_us, versions))


def _check(query: _Query, versions: Sequence[Meter], meters: Sequence[str]) -> None:
    if not versions:
        raise UsageError(
            "unknown_meter", f"There is no meter {query.meter!r}; there are: {', '.join(meters) or 'none'}."
        )
    known = {name for version in versions for name in version.group_by}
    for name in query.group_by:
        if name not in known:
            raise UsageError(
                "unknown_group",
                f"{query.meter} has no group {name!r}; it has: {', '.join(sorted(known)) or 'none'}.",
            )


def _final_until_us(frontiers_us: Sequence[int | None], versions: Iterable[Meter]) -> int | None:
    known = [frontier_us for frontier_us in frontiers_us if frontier_us is not None]
    if not known or len(known) < len(frontiers_us):
        return None
    return min(known) - max(version.grace_us for version in versions)


def _status(total: Total, final_until_us: int | None) -> str:
    return FINAL if final_until_us is not None and total.end_us <= final_until_us else PROVISIONAL


def _line(meter: str, total: Total, final_until_us: int | None) -> dict[str, Any]:
    line = {
        "meter": meter,
        "subject": total.subject,
        "group": dict(total.groups),
        "start": time_text(total.start_us),
        "end": time_text(total.end_us),
        "value": plain_text(total.value),
        "events": total.events,
        "status": _status(total, final_until_us),
    }
    if total.is_other:
        line["other"] = True
    return line


def _row(total: Total, names: Sequence[str], final_until_us: int | None) -> tuple[object, ...]:
    groups = ["(other)" if total.is_other else total.groups[name] for name in names]
    return (
        total.subject,
        *groups,
        time_text(total.start_us),
        time_text(total.end_us),
        total.value,
        total.events,
        _status(total, final_until_us),
    )
