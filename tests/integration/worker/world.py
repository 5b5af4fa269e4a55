"""A topic, a schema that counts it, and workers in this process: what a test of the worker plays with."""

import asyncio
import contextlib
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.client import HTTPConnection
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from structlog.typing import EventDict

from aggregator.applying.catalog_plan import plan
from aggregator.store import catalog, doctor, load, totals
from aggregator.store.connection import Connection, StoreOptions, connect
from metering.dev.conditions import until
from metering.process.shutdown import Shutdown
from metering.settings import Settings
from metering.worker.run import serve
from schemas.catalog import load_catalog

METERS = """
meters:
  - {name: tokens, event_type: call, aggregation: sum, value: tokens, window: 5m, grace: 1h}
  - {name: calls, event_type: call, aggregation: count, window: 1h, grace: 1h}
  - {name: models, event_type: call, aggregation: unique, value: model, group_by: [region], window: 1d,
     grace: 1h, cardinality_limit: 2}
"""
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Usage:
    """A usage event as a test speaks of it."""

    subject: str
    tokens: int
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    time: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(minutes=1))
    model: str = "m"
    region: str = "r"
    type: str = "call"
    pad: int = 0  # bytes that make it larger

    @property
    def value(self) -> bytes:
        event = {
            "specversion": "1.0",
            "id": self.id,
            "source": "tests",
            "type": self.type,
            "subject": self.subject,
            "time": self.time.isoformat(),
            "data": {
                "tokens": self.tokens,
                "model": self.model,
                "region": self.region,
                "pad": "x" * self.pad,
            },
        }
        return json.dumps(event).encode()


def usages(count: int, *, subjects: int = 7) -> list[Usage]:
    return [Usage(f"subject-{number % subjects}", number) for number in range(count)]


class Worker:
    """A worker that runs in this process, as a task."""

    def __init__(self, settings: Settings, *, until_caught_up: bool = False) -> None:
        self.settings = settings
        self.shutdown = Shutdown()
        self.task = asyncio.create_task(serve(settings, self.shutdown, until_caught_up=until_caught_up))

    async def ended(self) -> int:
        """Its exit code; raises what ended it."""
        return await asyncio.wait_for(asyncio.shield(self.task), DEADLINE_S)

    async def stop(self) -> int:
        self.shutdown.request()
        return await self.ended()


class World:
    """Everything published, and what has been made of it."""

    def __init__(self, settings: Settings, database: Connection, producer: AIOKafkaProducer) -> None:
        self.settings = settings
        self.database = database
        self.producer = producer
        self.published: dict[str, Usage] = {}  # by id: copies do not count

    def with_settings(self, **changes: Any) -> Settings:
        return Settings(**{**self.settings.model_dump(), **changes})

    async def publish(self, events: Iterable[Usage]) -> None:
        """Key each by its subject, and remember it as one that is to be counted."""
        events = list(events)
        sent = [
            await self.producer.send(self.settings.topic, event.value, key=event.subject.encode())
            for event in events
        ]
        await asyncio.gather(*sent)
        self.published.update({event.id: event for event in events})

    @contextlib.asynccontextmanager
    async def worker(self, **changes: Any) -> AsyncIterator[Worker]:
        """A worker that is stopped at the end, if it has not ended by then."""
        running = Worker(self.with_settings(**changes))
        try:
            yield running
        finally:
            if not running.task.done():
                await running.stop()

    async def catch_up(self, **changes: Any) -> int:
        return await Worker(self.with_settings(**changes), until_caught_up=True).ended()

    async def counts(self, offsets: int) -> None:
        """Wait until this many offsets are accounted for."""

        async def counted() -> bool:
            return sum((await self.outcomes()).values()) >= offsets

        assert await until(counted, deadline_s=DEADLINE_S), await self.outcomes()

    async def outcomes(self) -> Counter[str]:
        row = await self.database.fetchrow(
            "SELECT sum(accepted)::bigint AS accepted, sum(duplicate)::bigint AS duplicate,"
            " sum(conflict)::bigint AS conflict, sum(quarantined)::bigint AS quarantined,"
            " sum(tick)::bigint AS tick, sum(gap)::bigint AS gap, sum(lost)::bigint AS lost"
            " FROM ingest_partition"
        )
        assert row is not None
        return Counter({name: value for name, value in row.items() if value})

    async def rows(self, statement: str, *arguments: Any) -> list[Mapping[str, Any]]:
        return [dict(row) for row in await self.database.fetch(statement, *arguments)]

    async def tokens(self) -> dict[str, Decimal]:
        """What is counted of the meter `tokens`, by subject."""
        found = await totals.sums(self.database, "tokens")
        return {total.subject: Decimal(total.value) for total in found if total.value is not None}

    async def is_exact(self) -> None:
        """Every event published is counted once, and the ledgers agree with themselves."""
        expected: Counter[str] = Counter()
        for event in self.published.values():
            expected[event.subject] += event.tokens
        assert await self.tokens() == {subject: Decimal(total) for subject, total in expected.items()}
        assert (await self.outcomes())["accepted"] == len(self.published)
        findings = await doctor.checks(self.database)
        assert not findings, findings


async def apply_meters(database: Connection, text: str = METERS) -> int:
    """Make these the catalog's meters; the new head."""
    rules = await load.topic_rules(database)
    async with catalog.exclusive(database) as state:
        meters = load_catalog(text, "meters.yaml").meters
        planned = plan(state.catalog.versions, meters, state.frontiers_us.values(), rules)
        assert not planned.errors, planned.errors
        return await catalog.insert_versions(database, planned.effects, "tests")


async def superuser(dsn: str) -> Connection:
    return await connect(dsn, StoreOptions())


async def asked(port: int, path: str) -> tuple[int, Any]:
    """What the admin server says: status and JSON."""

    def ask() -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


async def becomes(condition: Callable[[], Any]) -> None:
    """Wait until something holds."""

    async def holds() -> bool:
        return bool(condition())

    assert await until(holds, deadline_s=DEADLINE_S)


def events(logged: list[EventDict], name: str) -> list[EventDict]:
    """The log lines of one kind."""
    return [event for event in logged if event["event"] == name]


async def waits_for_a_lock(dsn: str) -> None:
    """Wait until a transaction waits for a row of another."""
    looking = await asyncpg.connect(dsn)

    async def waits() -> bool:
        return bool(await looking.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    assert await until(waits, deadline_s=60)
    await looking.close()
