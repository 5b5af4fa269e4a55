"""`metering catalog`: meters, plans and subscriptions: planned from a file, applied for good, shown."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from cyclopts import App, Parameter

from aggregator.applying.billing_change import Section, Wanted
from aggregator.applying.billing_plan import BillingPlan
from aggregator.store import load, migrate, price_changes, prices
from aggregator.store.price_changes import Applied
from metering.cli.catalog_view import StoredTerms, show_plan, show_stored
from metering.cli.exits import Exit
from metering.cli.failures import report
from metering.cli.instants import instant_us
from metering.cli.operator import Who, decided_by
from metering.cli.output import Json
from metering.database import database
from metering.errors import InputRefusedError, unreadable
from metering.settings import Settings, load_settings
from schemas.catalog import CatalogDocument, CatalogError, Meter, load_catalog_at
from schemas.plan import Plan
from schemas.subscription import Subscription

app = App(name="catalog", help="Plan, apply or show meters, price plans and subscriptions.")

EffectiveFrom = Annotated[
    str | None,
    Parameter(help="Event time (RFC 3339) from which changes hold; by default the earliest that is allowed."),
]


class _File(NamedTuple):
    path: Path
    wanted: Wanted
    lines: Mapping[tuple[Section, str], int]  # where each thing stands


@app.command(name="plan")
def plan(file: Path, *, effective_from: EffectiveFrom = None, as_json: Json = False) -> Exit:
    """Show what `apply` would change, and from when; exit code 4 if it would be refused."""
    settings, read = load_settings(), _read(file)
    found = asyncio.run(_plan(settings, read.wanted, instant_us(effective_from, "--effective-from")))
    show_plan(Applied(found), as_json=as_json)
    return _refuse(found, read, as_json=as_json)


@app.command(name="apply")
def apply(
    file: Path, *, effective_from: EffectiveFrom = None, who: Who = None, as_json: Json = False
) -> Exit:
    """Make the changes new versions, all or none; exit code 4 if they are refused."""
    settings, read = load_settings(), _read(file)
    start_us = instant_us(effective_from, "--effective-from")
    applied = asyncio.run(_apply(settings, read.wanted, start_us, decided_by(who)))
    show_plan(applied, as_json=as_json)
    return _refuse(applied.plan, read, as_json=as_json)


@app.command(name="show")
def show(
    *,
    section: Annotated[Section | None, Parameter(help="Only meters, plans or subscriptions.")] = None,
    history: Annotated[bool, Parameter(negative=(), help="Show past and retired versions too.")] = False,
    as_json: Json = False,
) -> None:
    """Show meters, plans and subscriptions, each in its newest version."""
    sections = tuple(Section) if section is None else (section,)
    stored = asyncio.run(_stored(load_settings(), sections))
    show_stored(stored, sections, history=history, as_json=as_json)


async def _plan(settings: Settings, wanted: Wanted, start_us: int | None) -> BillingPlan:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        return await price_changes.current(connection, wanted, start_us)


async def _apply(settings: Settings, wanted: Wanted, start_us: int | None, who: str) -> Applied:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        return await price_changes.apply(connection, wanted, who, start_us)


async def _stored(settings: Settings, sections: tuple[Section, ...]) -> StoredTerms:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return StoredTerms(
                await load.catalog_within(connection),
                await prices.revision(connection),
                await prices.plans(connection) if Section.PLANS in sections else {},
                await prices.subscriptions(connection) if Section.SUBSCRIPTIONS in sections else {},
            )


def _read(file: Path) -> _File:
    try:
        catalog, document = load_catalog_at(file.read_text("utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable("catalog", file, error) from error
    except CatalogError as error:
        raise InputRefusedError("catalog_invalid", str(error)) from error
    lines = {
        (section, thing.name): document.places[section.value, place].line
        for section in Section
        for place, thing in enumerate(_things(catalog, section))
    }
    return _File(file, Wanted(catalog.meters, catalog.plans, catalog.subscriptions), lines)


def _things(catalog: CatalogDocument, section: Section) -> Sequence[Meter | Plan | Subscription]:
    match section:
        case Section.METERS:
            return catalog.meters or ()
        case Section.PLANS:
            return catalog.plans or ()
        case Section.SUBSCRIPTIONS:
            return catalog.subscriptions or ()


def _refuse(found: BillingPlan, read: _File, *, as_json: bool) -> Exit:
    for code, section, name, sentence in found.refusals:
        line = read.lines.get((section, name), 1)
        report(code, f"{read.path}:{line}: {name}: {sentence}.", as_json=as_json)
    return Exit.REFUSED if found.refusals else Exit.OK
