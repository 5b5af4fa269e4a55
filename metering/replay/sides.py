"""A schema that counts a topic, and a replay of it, opened together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from aggregator.store import load, migrate
from aggregator.store import replay as store
from aggregator.store.connection import Connection
from aggregator.store.replay import Shadow
from metering.database import database
from metering.errors import StoppedError
from metering.settings import Settings
from schemas.codes import Code

STATEMENT_TIMEOUT_S: Final = 900.0
"""Whole tables are read."""


class Sides(NamedTuple):
    """Connections to both, and what the replay says of itself."""

    counted: Connection
    replayed: Connection
    shadow: Shadow


@asynccontextmanager
async def both_sides(settings: Settings, schema: str) -> AsyncIterator[Sides]:
    """Connect to the schema of the settings and to a replay.

    Raises:
        NotAReplay: the other schema is none that has ended.
        StoppedError: they count different topics (`topic_mismatch`).
    """
    patient = settings.model_copy(
        update={"statement_timeout_s": max(settings.statement_timeout_s, STATEMENT_TIMEOUT_S)}
    )
    beside = patient.model_copy(update={"postgres_schema": schema})
    async with database(patient) as counted, database(beside) as replayed:
        for connection in (counted, replayed):
            await migrate.require_migrated(connection)
        shadow = await store.shadow(replayed)
        names = [(await load.topic_rules(connection)).name for connection in (counted, replayed)]
        if len(set(names)) > 1:
            raise StoppedError(
                Code.TOPIC_MISMATCH,
                f"Schema {settings.postgres_schema} counts {names[0]}, {schema} {names[1]}.",
            )
        yield Sides(counted, replayed, shadow)
