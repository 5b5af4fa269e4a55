"""The database: whether it answers and is set up, and what it alone knows of work and traffic."""

from typing import Final

from aggregator.health.severity import Severity
from aggregator.store import migrate
from aggregator.store import server as store
from aggregator.store.errors import NotMigrated, StoreError
from metering.database import database
from metering.doctor import proof, server, traffic, work
from metering.doctor.check import Check, Outcome, Result, holds, unknown
from metering.errors import MeteringError
from metering.observer.counted import read_accounts
from metering.settings import Settings

POSTGRES: Final = Check(
    "postgres",
    Severity.CRITICAL,
    "The database answers.",
    "See whether it runs and is reached from here: METERING_POSTGRES_DSN and METERING_POSTGRES_ROLE.",
)
SCHEMA: Final = Check(
    "schema",
    Severity.CRITICAL,
    "The schema has the migrations of this release, and no others.",
    "Run `metering migrate`; if that is refused, run the release that made the schema.",
)
CHECKS: Final = (
    POSTGRES,
    SCHEMA,
    *server.CHECKS,
    *work.ABOUT_WORK,
    *proof.CHECKS,
    *traffic.CHECKS,
)


async def examine(settings: Settings) -> list[Result]:
    """Look at all of it."""
    results: dict[Check, Result] = {}
    try:
        async with database(settings) as connection:
            results[POSTGRES] = holds(POSTGRES)
            await migrate.require_migrated(connection)
            results[SCHEMA] = holds(SCHEMA, f"Schema {settings.postgres_schema} is as this release needs it.")
            accounts = await read_accounts(connection)
            waiting = await store.waiting_work(connection)
            for result in (
                *await server.examine(connection),
                *work.examine_work(accounts, waiting),
                *proof.examine(accounts),
                *await traffic.examine(connection, accounts),
            ):
                results[result.check] = result
    except MeteringError as error:
        results[POSTGRES] = unknown(POSTGRES, error.sentence, error)
    except StoreError as error:
        results[SCHEMA] = (
            unknown(SCHEMA, f"{error}.", error)
            if isinstance(error, NotMigrated)
            else Result(SCHEMA, Outcome.FOUND, f"{error}.", error=error)
        )
    why = "The database does not answer, or is not set up."
    return [results.get(check) or unknown(check, why) for check in CHECKS]
