"""`metering replay`: a shadow schema, made from the log alone and the decisions that people took about it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import structlog

from aggregator.applying.backdated_terms import backdated_terms
from aggregator.applying.billing_change import Wanted
from aggregator.applying.billing_plan import Refusal
from aggregator.applying.catalog_plan import PlanError
from aggregator.backdating import backdated
from aggregator.catalog import StoredVersion
from aggregator.store import finality, interventions, log_range, migrate
from aggregator.store import replay as store
from aggregator.store.connection import Connection
from aggregator.store.replay import Begins, Source
from aggregator.store.replayed_terms import billing_state, with_terms
from metering.database import database
from metering.errors import UsageError
from metering.process.exclusive import serve
from metering.process.health import Readiness
from metering.process.patience import Patience, brokers_pass, database_passes
from metering.process.shutdown import Shutdown
from metering.rater import Rater
from metering.replay.beginning import check_since, naming_the_earliest
from metering.replay.checking import LogStartGoneError, check_log
from metering.replay.legs import Leg, legs
from metering.replay.recounting import Foretold, recount
from metering.settings import Settings
from metering.telemetry import Telemetry, no_telemetry
from metering.worker.catalog import CurrentCatalog
from metering.worker.database import Database
from metering.worker.flushing import Flusher
from metering.worker.guard import Topic
from metering.worker.opening import START_S, impatient, open_topic
from metering.worker.services import Engine
from metering.worker.stops import TopicStoppedError
from schemas.codes import Code

log = structlog.get_logger(__name__)

STATEMENT_TIMEOUT_S: Final = 900.0
"""Whole tables are read and copied."""

_QUIET: Final = {"otlp_endpoint": None, "admin_port": None, "feed_topic": None}
"""A shadow tells nobody what it finds."""


@dataclass(frozen=True, slots=True)
class Recatalogued:
    """Other meters or terms than those that the log was counted and rated by.

    They hold from an event time on (None: from the beginning).
    """

    wanted: Wanted
    from_us: int | None


class CatalogDoesNotFitError(Exception):
    """The meters or terms cannot be those of this log; `errors` says of each why not."""

    def __init__(self, errors: Sequence[PlanError | Refusal]) -> None:
        super().__init__(f"{len(errors)} do not fit")
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a shadow schema now holds."""

    schema: str
    topic: str
    ranges: Mapping[int, range]  # offsets by partition
    since_us: int | None  # windows from there on; None: all


async def replay(
    settings: Settings, into: str, since_us: int | None, catalog: Recatalogued | None, who: str
) -> Replayed:
    """Count what the schema of the settings has counted so far once more, into another schema.

    Args:
        settings: of the schema that was counted, with its owner's rights.
        into: the shadow schema; it is made, and must not hold anything yet.
        since_us: count only windows that start then or later; None for all.
        catalog: other meters to count by, or other terms to rate by; None for the same.
        who: replays.

    Raises:
        UsageError: the shadow schema is not empty (`schema_not_empty`), or nothing can begin at that instant
            (`since_unaligned`, `since_not_counted`).
        StoppedError: the log cannot be replayed: `log_start_gone`, `log_replaced`, `topic_mismatch`, …
        CatalogDoesNotFitError: the catalog is refused.
    """
    settings = settings.model_copy(
        update={"statement_timeout_s": max(settings.statement_timeout_s, STATEMENT_TIMEOUT_S)}
    )
    async with database(settings) as counted:
        await migrate.require_migrated(counted)
        source = await store.source(counted)
        if source.rules.name != settings.topic:
            raise TopicStoppedError(
                Code.TOPIC_MISMATCH,
                f"This schema counts {source.rules.name}, the setting is {settings.topic}",
            )
        versions = _versions(source, catalog)
        if since_us is not None:
            check_since(source, [source.catalog.versions, versions or ()], since_us)
        source = _with_terms(source, versions, catalog)
        await _require_empty(counted, into)
        whole, part = source, None
        if since_us is not None:
            source, part = await log_range.narrowed(counted, source, since_us)
    ways = _ways(source)
    shadow = settings.model_copy(update={**_QUIET, "postgres_schema": into})
    async with AsyncExitStack() as opened:
        telemetry = no_telemetry()
        readiness = Readiness("replay", telemetry.instruments)
        with impatient(readiness):
            async with asyncio.timeout(START_S):
                brokers = Patience("brokers", brokers_pass, readiness, telemetry.instruments)
                topic = await open_topic(shadow, source.rules, brokers, opened)
        try:
            await check_log(topic, source, ways)
        except LogStartGoneError as gone:
            async with database(settings) as counted:
                raise await naming_the_earliest(counted, whole, gone) from gone
        async with database(shadow) as connection:
            await migrate.up(connection)
            begins = Begins() if part is None else Begins(part.since_us, part.compared_from)
            await store.begin(connection, settings.postgres_schema, source, versions, begins, who)
            if part is not None:
                await log_range.begin(connection, part)
        async with _engine(shadow, source, since_us, topic, readiness, telemetry) as engine:
            await _count(engine, shadow, ways, {} if part is None else part.foretold)
    if source.closing_us is not None:
        await _close_and_rate(shadow, source, since_us, has_other_meters=versions is not None)
    async with database(settings) as counted, database(shadow) as connection:
        await store.end(counted, connection)
    ranges = {
        one.claimed.partition: range(one.first_offset, one.claimed.next_offset) for one in source.partitions
    }
    return Replayed(into, source.rules.name, ranges, since_us)


def _versions(source: Source, catalog: Recatalogued | None) -> Sequence[StoredVersion] | None:
    if catalog is None or catalog.wanted.meters is None:
        return None
    found = backdated(source.catalog.versions, catalog.wanted.meters, catalog.from_us, source.rules)
    if found.errors:
        raise CatalogDoesNotFitError(found.errors)
    return found.versions


def _with_terms(
    source: Source, versions: Sequence[StoredVersion] | None, catalog: Recatalogued | None
) -> Source:
    """The source with the versions that correct its terms; of a log without records there are none."""
    reached_us = [one.claimed.frontier_us for one in source.partitions]
    counted_us = max((us for us in reached_us if us is not None), default=None)
    if catalog is None or counted_us is None:
        return source
    found = backdated_terms(
        billing_state(source),
        source.catalog.versions if versions is None else versions,
        catalog.wanted,
        catalog.from_us,
        counted_us,
    )
    if found.refusals:
        raise CatalogDoesNotFitError(found.refusals)
    return with_terms(source, found.changes)


async def _require_empty(connection: Connection, into: str) -> None:
    names = await store.relations(connection, into)
    if names:
        raise UsageError(
            "schema_not_empty",
            f"Schema {into} holds {names[0]} and {len(names) - 1} other relations: choose another, or "
            f"empty it with METERING_POSTGRES_SCHEMA={into} metering migrate --down-to 0.",
        )


def _ways(source: Source) -> dict[int, list[Leg]]:
    return {
        one.claimed.partition: legs(
            one.claimed.next_offset,
            (skip for skip in source.skips if skip.partition == one.claimed.partition),
        )
        for one in source.partitions
    }


@asynccontextmanager
async def _engine(
    settings: Settings,
    source: Source,
    since_us: int | None,
    topic: Topic,
    readiness: Readiness,
    telemetry: Telemetry,
) -> AsyncIterator[Engine]:
    """What a worker counts with, but for all that makes it a member of a group."""
    connections = Database(settings, telemetry.instruments)
    patience = Patience("database", database_passes, readiness, telemetry.instruments)
    current = CurrentCatalog(connections, patience, since_us)
    flusher = Flusher(connections, patience, f"{version('metering')} replay", telemetry.instruments)
    try:
        await current.reload()
        yield Engine(
            settings=settings,
            telemetry=telemetry,
            readiness=readiness,
            database=connections,
            patience=patience,
            rest_interval_s=settings.flush_interval_s,
            rules=source.rules,
            topic=topic,
            current=current,
            flusher=flusher,
        )
    finally:
        flusher.close()
        connections.terminate()
        telemetry.close()


async def _count(
    engine: Engine, settings: Settings, ways: Mapping[int, Sequence[Leg]], foretold: Foretold
) -> None:
    """Every partition along its way; skips are repeated when all have come to their next one."""
    left = {partition: deque(way) for partition, way in ways.items()}
    while left:
        await recount(engine, {partition: way[0].until for partition, way in left.items()}, foretold)
        for way in left.values():
            skip = way.popleft().skip
            if skip is not None:
                async with database(settings) as connection:
                    await interventions.skip(
                        connection,
                        skip.partition,
                        skip.first_offset,
                        skip.next_offset,
                        reason=skip.reason,
                        who=skip.who,
                    )
        left = {partition: way for partition, way in left.items() if way}


async def _close_and_rate(
    settings: Settings, source: Source, since_us: int | None, *, has_other_meters: bool
) -> None:
    """Make final what was, and rate what could be.

    What was promoted before stands beside the same windows again; other meters count it by themselves, but
    for what gauges carry into a range.
    """
    taken = [
        one
        for one in source.corrections
        if not has_other_meters or (since_us is not None and one.start_us < since_us)
    ]
    async with database(settings) as connection:
        if taken:
            async with connection.transaction():
                await store.insert_corrections(connection, source.promotions, taken)
        await finality.close(connection, source.closing_us)
        if since_us is not None:
            await log_range.schedule(connection, since_us)
    await serve(settings, Rater(settings), Shutdown(), once=True)
