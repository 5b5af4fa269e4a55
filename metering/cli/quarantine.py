"""`metering quarantine`: what was refused, why, and what has become of it."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.text import Text

from aggregator.store import load, migrate, redrive
from aggregator.store import quarantine as store
from aggregator.store.quarantine import Kept, Refusal
from aggregator.store.redrive import Attempt
from metering.cli import quarantine_decisions
from metering.cli.output import Json, print_json, print_table, stdout_console, time_text
from metering.cli.quarantine_decisions import OnlyCode, OnlySource, OnlySubject, require_code
from metering.cli.quarantine_groups import groups_of, print_groups
from metering.database import database
from metering.errors import UsageError
from metering.settings import Settings, load_settings
from schemas.codes import SENTENCES, Code

app = App(name="quarantine", help="Show refused records, bring them back, correct or discard them.")


@app.command(name="list")
def list_(
    *,
    code: OnlyCode = None,
    source: OnlySource = None,
    subject: OnlySubject = None,
    records: Annotated[bool, Parameter(negative=(), help="Record by record, the newest first.")] = False,
    limit: Annotated[int, Parameter(help="How many --records.")] = 50,
    as_json: Json = False,
) -> None:
    """Show what was refused, by code, source and meter: how much of it waits, and the money at risk.

    The money is an estimate, of what can be read and nobody has brought back yet.
    """
    require_code(code)
    if not records:
        found = asyncio.run(groups_of(load_settings(), code, source, subject))
        print_groups(found, as_json=as_json)
        return
    refusals, meters = asyncio.run(_records(load_settings(), code, source, subject, limit))
    if as_json:
        print_json(*(_document(one) for one in refusals))
        return
    print_table(
        "Quarantine",
        ["Partition", "Offset", "State", "Code", "Meter", "Subject", "Source", "Id", "Refused", "Detail"],
        (_row(one, meters) for one in refusals),
    )


@app.command
def show(partition: int, offset: int, *, as_json: Json = False) -> None:
    """Show a refused record in full: bytes, headers, each refusal, and what was decided about it."""
    kept, attempts = asyncio.run(_show(load_settings(), partition, offset))
    if not kept:
        raise UsageError(
            "not_in_quarantine", f"Nothing of partition {partition}, offset {offset} was refused."
        )
    documents = [
        {
            **_document(one.refusal),
            **_payload(one),
            "decisions": [
                _decided(attempt)
                for attempt in attempts
                if attempt.meter_version_id == one.refusal.meter_version_id
            ],
        }
        for one in kept
    ]
    if as_json:
        print_json(*documents)
        return
    for document in documents:
        _print(document)


for decide in (quarantine_decisions.redrive, quarantine_decisions.fix, quarantine_decisions.discard):
    app.command(decide)


async def _records(
    settings: Settings, code: str | None, source: str | None, subject: str | None, limit: int
) -> tuple[list[Refusal], dict[int | None, str]]:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        refusals = await store.newest(connection, limit, code=code, source=source, subject=subject)
        versions = (await load.catalog(connection)).versions
    return refusals, {one.meter_version_id: f"{one.meter} v{one.version}" for one in versions}


async def _show(settings: Settings, partition: int, offset: int) -> tuple[list[Kept], list[Attempt]]:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        kept = await store.of_record(connection, partition, offset)
        return kept, await redrive.history(connection, partition, offset)


def _row(one: Refusal, meters: Mapping[int | None, str]) -> tuple[object, ...]:
    return (
        one.partition,
        one.offset,
        one.state.value,
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
        "state": one.state.value,
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


def _decided(one: Attempt) -> dict[str, Any]:
    return {
        "attempt": one.attempt,
        "action": one.action,
        "at": time_text(one.at_us),
        "by": one.who,
        "reason": one.reason,
        "published_partition": one.published_partition,
        "published_offset": one.published_offset,
        "published_at": time_text(one.published_us),
    }


def _print(document: Mapping[str, Any]) -> None:
    console = stdout_console()
    code = Code(document["code"])
    console.print(Text(f"{code}: {SENTENCES[code]}", "bold"), soft_wrap=True)
    for name, value in document.items():
        if name == "decisions":
            for one in value:
                console.print(
                    Text(f"  {one['action']} by {one['by']} at {one['at']}: {one['reason']}"), soft_wrap=True
                )
        elif value not in (None, []):
            console.print(Text(f"  {name}: {value}"), soft_wrap=True)


def _shown(content: bytes | None) -> str | None:
    r"""Bytes as text; what is no UTF-8 as `\xff`."""
    return None if content is None else content.decode("utf-8", "backslashreplace")
