"""Frontiers that a test moves at will: what a closer looks at, without a topic and without workers."""

from dataclasses import dataclass, field
from typing import Final, Self

from aggregator.applying.catalog_plan import plan
from aggregator.store import catalog, finality, load, migrate, topic
from aggregator.store.connection import Connection, StoreOptions, connect
from metering.dev.conditions import until
from schemas.catalog import Meter
from schemas.topic import TopicContract

HOUR_US: Final = 3_600_000_000
T0: Final = 1_790_000_000_000_000 // HOUR_US * HOUR_US
CONTRACT: Final = TopicContract(name="usage.events", partitions=2)
CALLS: Final = Meter(name="calls", event_type="call", aggregation="count", window="1h", grace="15m")
DEADLINE_S: Final = 60.0


@dataclass
class Partitions:
    dsn: str
    connection: Connection
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    async def make(cls, dsn: str) -> Self:
        connection = await connect(dsn, StoreOptions())
        await migrate.up(connection)
        await topic.apply(connection, CONTRACT, {0: 0, 1: 0})
        rules = await load.topic_rules(connection)
        async with catalog.exclusive(connection) as state:
            planned = plan(state.catalog.versions, [CALLS], state.frontiers_us.values(), rules)
            await catalog.insert_versions(connection, planned.effects, "tests")
        environment = {
            "METERING_POSTGRES_DSN": dsn,
            "METERING_POSTGRES_ROLE": "metering_worker",
            "METERING_CLOSE_INTERVAL_S": "0.05",
            "METERING_SESSION_TIMEOUT_S": "2",
            "METERING_LOG_FORMAT": "json",
        }
        return cls(dsn, connection, environment)

    @classmethod
    async def again(cls, dsn: str) -> Self:
        """The same, by a new connection."""
        return cls(dsn, await connect(dsn, StoreOptions()))

    async def reach(self, *frontiers_us: int) -> None:
        """Move the frontiers there."""
        await self.connection.executemany(
            "UPDATE ingest_partition SET frontier = $2 WHERE partition = $1", list(enumerate(frontiers_us))
        )

    async def closes(self, log_time_us: int) -> None:
        """Wait until the closing is there, and with it what it makes final."""

        async def is_closed() -> bool:
            return await finality.closing(self.connection) == log_time_us

        assert await until(is_closed, deadline_s=DEADLINE_S)
        marks = await finality.final_before(self.connection)
        grace_us, window_us = CALLS.grace_us, CALLS.window_us
        assert marks == {1: (log_time_us - grace_us) // window_us * window_us}
