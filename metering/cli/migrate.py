"""`metering migrate`: the database schema, brought to this release or back."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from aggregator.store import migrate as migrations
from aggregator.store.migrate import Migration
from metering.cli.output import Json, print_json, say
from metering.database import database
from metering.settings import Settings, load_settings


def migrate(
    *,
    down_to: Annotated[int | None, Parameter(help="Undo the migrations after this one; 0 empties.")] = None,
    as_json: Json = False,
) -> None:
    """Apply the migrations that the schema lacks; safe when two start at once."""
    settings = load_settings()
    done = asyncio.run(_migrate(settings, down_to))
    verb = "applied" if down_to is None else "undone"
    if as_json:
        print_json({verb: [f"{one.version:04}_{one.name}" for one in done]})
        return
    for one in done:
        say(f"{one.version:04} {one.name} {verb}")
    if not done:
        say(f"Schema {settings.postgres_schema} was there already: nothing to do.")


async def _migrate(settings: Settings, down_to: int | None) -> Sequence[Migration]:
    async with database(settings) as connection:
        if down_to is None:
            return await migrations.up(connection)
        return await migrations.down(connection, down_to)
