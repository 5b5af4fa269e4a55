"""`metering audit`: who wrote what."""

import asyncio
import json
from typing import Annotated, Any

from cyclopts import Parameter

from aggregator.store import audit as store
from aggregator.store import migrate
from aggregator.store.audit import Entry
from metering.cli.output import Json, print_json, print_table, time_text
from metering.database import database
from metering.errors import UsageError
from metering.settings import Settings, load_settings


def audit(
    *,
    action: Annotated[str | None, Parameter(help="Only this: catalog.apply, token.create, …")] = None,
    target: Annotated[str | None, Parameter(help="Only what was done to this.")] = None,
    limit: Annotated[int, Parameter(help="How many, the newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """Show every write by a person or a token, the newest first: who did what, to what, and when."""
    if limit < 1:
        raise UsageError("usage", f"--limit {limit} shows nothing: choose at least 1.")
    found = asyncio.run(_read(load_settings(), action, target, limit))
    if as_json:
        print_json(*map(_document, found))
        return
    print_table(
        "Writes",
        ["At", "Who", "Action", "Target", "Detail"],
        (
            (
                time_text(one.at_us),
                one.who,
                one.action,
                one.target,
                json.dumps(one.detail, ensure_ascii=False),
            )
            for one in found
        ),
    )


async def _read(settings: Settings, action: str | None, target: str | None, limit: int) -> list[Entry]:
    async with database(settings) as connection:
        await migrate.require_migrated(connection)
        return await store.entries(connection, action=action, target=target, limit=limit)


def _document(entry: Entry) -> dict[str, Any]:
    return {
        "audit_id": entry.audit_id,
        "at": time_text(entry.at_us),
        "who": entry.who,
        "action": entry.action,
        "target": entry.target,
        "detail": entry.detail,
    }
