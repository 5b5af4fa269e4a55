"""`metering quarantine`: what was refused, and why."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.text import Text

from aggregator.store import load, migrate
from aggregator.store import quarantine as store
from aggregator.store.quarantine import Kept, Refusal
from metering.cli.output import Json, print_json, print_table, say, stdout_console, time_text
from metering.database import database
from metering.errors import UsageError
from metering.settings import Settings, load_settings
from schemas.codes import SENTENCES, Code

app = App(name="quarantine", help="List or show refused records.")


@app.command(name="list")
def list_(
    *,
    code: Annotated[str | None, Parameter(help="Only what was refused with this code.")] = None,
    subject: Annotated[str | None, Parameter(help="Only this subject's.")] = None,
    limit: Annotated[int, Parameter(help="How many, the newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """Show what was refused, the newest first, and how much there is of each code."""
    if code is not None and code not in set(Code):
        raise UsageError("unknown_code", f"There is no code {code}: `docs/runbook.md` lists them.")
    counts, refusals, meters = asyncio.run(_list(load_settings(), code, subject, limit))
    if as_json:
        print_json(*(_document(one) for one in refusals))
        return
    print_table(
        "Quarantine",
        ["Partition", "Offset", "Code", "Meter", "Subject", "Source", "Id", "Refused", "Detail"],
        (_row(one, meters) for one in refusals),
    )
    for name, count in counts.items():
        say(f"{count:,} {name}: {SENTENCES[Code(name)]}")


@app.command
def show(partition: int, offset: int, *, as_json: Json = False) -> None:
    """Show a refused record in full: bytes, headers, and each refusal."""
    kept = asyncio.run(_show(load_settings(), partition, offset))
    if not kept:
        raise UsageError(
            "not_in_quarantine", f"Nothing of partition {partition}, offset {offset} was refused."
        )
    if as_json:
        print_json(*({**_document(one.refusal), **_payload(one)} for one in kept))
        return
    for one in kept:
        _print(one)


async def _list(
    settings: Settings, code: str | None, subject: str | None, limit: int
) -> tuple[dict[str, int], list[Refusal], dict[int | None, str]]:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        counts = await store.counts(connection)
        refusals = await store.newest(connection, limit, code=code, subject=subject)
        versions = (await load.catalog(connection)).versions
    return counts, refusals, {one.meter_version_id: f"{one.meter} v{one.version}" for one in versions}


async def _show(settings: Settings, partition: int, offset: int) -> list[Kept]:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        return await store.of_record(connection, partition, offset)


def _row(one: Refusal, meters: Mapping[int | None, str]) -> tuple[object, ...]:
    return (
        one.partition,
        one.offset,
        one.code,
        meters.get(one.meter_version_id),
        one.subject,
        one.source,
        one.id,
        time_text(one.refused_us),
        one.detail,
    )


def _document(one: Refusal) -> dict[str, Any]:
    return {
        "partition": one.partition,
        "offset": one.offset,
        "meter_version": one.meter_version_id,
        "code": one.code,
        "detail": one.detail,
        "record_time": time_text(one.record_us),
        "refused_at": time_text(one.refused_us),
        "source": one.source,
        "id": one.id,
        "type": one.type,
        "subject": one.subject,
        "time": time_text(one.event_us),
        "origin": one.origin,
    }


def _payload(one: Kept) -> dict[str, Any]:
    return {
        "timestamp_type": one.timestamp_type,
        "key": _shown(one.key),
        "value": _shown(one.value),
        "headers": [
            [_shown(name.encode("utf-8", "surrogateescape")), _shown(value)] for name, value in one.headers
        ],
    }


def _print(one: Kept) -> None:
    console = stdout_console()
    console.print(Text(f"{one.refusal.code}: {SENTENCES[Code(one.refusal.code)]}", "bold"), soft_wrap=True)
    for name, value in {**_document(one.refusal), **_payload(one)}.items():
        if value not in (None, []):
            console.print(Text(f"  {name}: {value}"), soft_wrap=True)


def _shown(content: bytes | None) -> str | None:
    r"""Bytes as text; what is no UTF-8 as `\xff`."""
    return None if content is None else content.decode("utf-8", "backslashreplace")
