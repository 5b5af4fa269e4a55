"""`metering catalog`: the meters, planned from a file, applied as immutable versions, shown."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from cyclopts import App, Parameter
from rich.text import Text

from aggregator import catalog_plan
from aggregator.catalog_plan import Change, ChangeKind, Plan
from aggregator.store import catalog as store
from aggregator.store import load, migrate
from aggregator.store.catalog import CatalogState
from aggregator.store.connection import Connection
from aggregator.store.load import StoredMeterVersion
from metering.cli.exits import Exit
from metering.cli.failures import report
from metering.cli.instants import instant_us
from metering.cli.operator import Who, decided_by
from metering.cli.output import Json, print_json, print_table, say, stdout_console, time_text
from metering.database import database
from metering.errors import InputRefusedError, unreadable
from metering.settings import Settings, load_settings
from schemas.catalog import CatalogDocument, CatalogError, load_catalog
from schemas.document import read_document

app = App(name="catalog", help="Plan, apply or show the meters.")

EffectiveFrom = Annotated[
    str | None,
    Parameter(help="Event time (RFC 3339) from which changes hold; by default the earliest that is allowed."),
]
_SIGNS: Final = {
    ChangeKind.NEW: ("+", "green"),
    ChangeKind.CHANGED: ("~", "yellow"),
    ChangeKind.RETIRED: ("-", "red"),
    ChangeKind.UNCHANGED: ("=", "dim"),
}


class _File(NamedTuple):
    path: Path
    document: CatalogDocument
    lines: Mapping[str, int]  # of each meter


@app.command(name="plan")
def plan(file: Path, *, effective_from: EffectiveFrom = None, as_json: Json = False) -> Exit:
    """Show what `apply` would change, and from when; exit code 4 if it would be refused."""
    settings, read = load_settings(), _read(file)
    found = asyncio.run(_plan(settings, read.document, instant_us(effective_from, "--effective-from")))
    _show(found, as_json=as_json)
    return _refuse(found, read, as_json=as_json)


@app.command(name="apply")
def apply(
    file: Path, *, effective_from: EffectiveFrom = None, who: Who = None, as_json: Json = False
) -> Exit:
    """Make the changes new versions, all or none; exit code 4 if they are refused."""
    settings, read = load_settings(), _read(file)
    start_us = instant_us(effective_from, "--effective-from")
    found, head = asyncio.run(_apply(settings, read.document, start_us, decided_by(who)))
    _show(found, as_json=as_json, head=head)
    return _refuse(found, read, as_json=as_json)


@app.command(name="show")
def show(
    *,
    history: Annotated[bool, Parameter(negative=(), help="Show past and retired versions too.")] = False,
    as_json: Json = False,
) -> None:
    """Show the meters, each in its newest version."""
    stored = asyncio.run(_stored(load_settings()))
    newest = {one.meter: one for one in sorted(stored.versions, key=lambda one: one.version)}
    versions = stored.versions if history else [one for one in newest.values() if not one.retired]
    versions = sorted(versions, key=lambda one: (one.meter, one.version))
    if as_json:
        print_json(*({"head": stored.head, **_version(one)} for one in versions))
        return
    print_table(
        f"Catalog (head {stored.head})",
        ["Meter", "Version", "From", "Event type", "Aggregation", "Value", "Groups", "Window", "Grace"],
        (_row(one) for one in versions),
    )


async def _plan(settings: Settings, document: CatalogDocument, start_us: int | None) -> Plan:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        return await _plan_from(connection, await store.current(connection), document, start_us)


async def _apply(
    settings: Settings, document: CatalogDocument, start_us: int | None, who: str
) -> tuple[Plan, int | None]:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        async with store.exclusive(connection) as state:
            found = await _plan_from(connection, state, document, start_us)
            if found.errors or not found.effects:
                return found, None
            return found, await store.insert_versions(connection, found.effects, who)


async def _plan_from(
    connection: Connection, state: CatalogState, document: CatalogDocument, start_us: int | None
) -> Plan:
    rules = await load.topic_rules(connection)
    return catalog_plan.plan(
        state.catalog.versions, document.meters or [], state.frontiers_us.values(), rules, start_us
    )


async def _stored(settings: Settings) -> load.StoredCatalog:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        return await load.catalog(connection)


def _read(file: Path) -> _File:
    try:
        text = file.read_text("utf-8")
        document = load_catalog(text, str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable("catalog", file, error) from error
    except CatalogError as error:
        raise InputRefusedError("catalog_invalid", str(error)) from error
    if document.meters is None or document.plans is not None:
        raise InputRefusedError("catalog_invalid", f"{file}: only `meters:` can be applied yet")
    places = read_document(text, str(file)).places
    lines = {meter.name: places["meters", place].line for place, meter in enumerate(document.meters)}
    return _File(file, document, lines)


def _refuse(found: Plan, read: _File, *, as_json: bool) -> Exit:
    for error in found.errors:
        line = read.lines.get(error.meter, 1)
        report(error.code, f"{read.path}:{line}: {error.meter}: {error.sentence}.", as_json=as_json)
    return Exit.REFUSED if found.errors else Exit.OK


def _show(found: Plan, *, as_json: bool, head: int | None = None) -> None:
    if as_json:
        print_json({"changes": [_change(one) for one in found.changes], "head": head})
        return
    console = stdout_console()
    for change in found.changes:
        sign, style = _SIGNS[change.kind]
        console.print(Text(f"{sign} {change.meter} ({change.kind}{_since(change)})", style))
        differences = () if change.kind is ChangeKind.RETIRED else change.differences
        for field, before, after in differences:
            was = "" if change.kind is ChangeKind.NEW else f"{_plain(before)} → "
            console.print(Text(f"    {field}: {was}{_plain(after)}", style), soft_wrap=True)
    if head is not None:
        say(f"Applied: the catalog's head is now {head}.")
    elif not found.effects:
        say("Nothing would change.")


def _since(change: Change) -> str:
    if change.kind is ChangeKind.UNCHANGED:
        return ""
    start = time_text(change.effective_from_us) or "the beginning"
    return f": version {change.version}, from {start}"


def _change(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "meter": change.meter,
        "version": None if change.kind is ChangeKind.UNCHANGED else change.version,
        "effective_from": time_text(change.effective_from_us),
        "differences": [one._asdict() for one in change.differences],
    }


def _version(one: StoredMeterVersion) -> dict[str, Any]:
    return {
        "meter": one.meter,
        "version": one.version,
        "effective_from": time_text(one.effective_from_us),
        "retired": one.retired,
        "definition": one.definition,
    }


def _row(one: StoredMeterVersion) -> tuple[object, ...]:
    definition: dict[str, Any] = one.definition
    return (
        one.meter,
        f"{one.version}{' (retired)' if one.retired else ''}",
        time_text(one.effective_from_us) or "the beginning",
        definition["event_type"],
        definition["aggregation"],
        definition.get("value"),
        ", ".join(group["name"] for group in definition["group_by"]),
        definition["window"],
        definition["grace"],
    )


def _plain(value: object) -> str:
    match value:
        case None:
            return "unset"
        case list():
            return ", ".join(_plain(item) for item in value) or "none"
        case {"name": name, "path": path}:
            return str(name) if name == path else f"{name} ({path})"
        case dict():
            return ", ".join(f"{name} in {_plain(item)}" for name, item in value.items()) or "none"
        case _:
            return str(value)
