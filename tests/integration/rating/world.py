"""A log of two partitions as lists; counted, closed and rated one step at a time. There is no Kafka."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from faults.owner import Owner
from faults.topic_log import LogRecord
from opentelemetry.metrics import NoOpMeterProvider
from oracle.logs import rfc3339
from oracle.rated import HOUR_US, MINUTE_US, Logged

from aggregator.applying.catalog_plan import plan
from aggregator.store import catalog, finality, load, migrate, rated, topic
from aggregator.store.connection import Connection, StoreOptions, connect, stored_us
from metering.process.exclusive import Turn
from metering.rater import Rater
from metering.settings import Settings
from metering.telemetry import Instruments
from schemas.catalog import load_catalog
from schemas.control import tick
from schemas.partitioner import murmur2_partition
from schemas.plan import Plan
from schemas.rated import RatedTotal
from schemas.subscription import Subscription
from schemas.topic import TopicContract

PARTITIONS: Final = 2
DAY_US: Final = 24 * HOUR_US
CONTRACT: Final = TopicContract(name="usage.events", partitions=PARTITIONS)
INSTRUMENTS: Final = Instruments(NoOpMeterProvider().get_meter("tests"))


def us(text: str) -> int:
    """Microseconds of `2026-03-02T05:00`, UTC."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return round(moment.timestamp()) * 1_000_000


@dataclass
class World:
    """One schema. Tests append to the log, and say when it is counted, closed and rated."""

    dsn: str
    schema: str
    connection: Connection  # the superuser's
    rater_connection: Connection
    owner: Owner
    now_us: int
    logs: dict[int, list[LogRecord]] = field(
        default_factory=lambda: {partition: [] for partition in range(PARTITIONS)}
    )
    told: list[Logged] = field(default_factory=list)
    settings: Settings = field(default_factory=Settings)
    rater: Rater | None = None

    @classmethod
    async def made(cls, dsn: str, schema: str, meters: str, now_us: int) -> "World":
        options = StoreOptions(schema=schema)
        connection = await connect(dsn, options)
        await migrate.up(connection)
        await topic.apply(connection, CONTRACT, dict.fromkeys(range(PARTITIONS), 0))
        worker = StoreOptions(schema=schema, role="metering_worker")
        world = cls(
            dsn, schema, connection, await connect(dsn, worker), Owner("tests", dsn, dsn, worker), now_us
        )
        await world.apply_meters(meters)
        for partition in range(PARTITIONS):
            await world.owner.claim(partition)
        return world

    async def close_connections(self) -> None:
        await self.owner.crash()
        self.connection.terminate()
        self.rater_connection.terminate()

    async def apply_meters(self, text: str, from_us: int | None = None) -> None:
        rules = await load.topic_rules(self.connection)
        meters = load_catalog(text, "meters.yaml").meters
        assert meters is not None
        async with catalog.exclusive(self.connection) as state:
            planned = plan(state.catalog.versions, meters, state.frontiers_us.values(), rules, from_us)
            assert not planned.errors
            await catalog.insert_versions(self.connection, planned.effects, "tests")

    async def add_plan(self, definition: Mapping[str, Any], from_us: int | None = None) -> None:
        """The next version of a plan; what `apply` would check is the test's own business."""
        one = Plan.model_validate(definition)
        await self._revise()
        await self.connection.execute(
            "INSERT INTO plan_version (plan, version, definition, effective_from, retired, revision)"
            " SELECT $1, coalesce(max(version), 0) + 1, $2, $3, false,"
            " (SELECT max(revision) FROM billing_apply) FROM plan_version WHERE plan = $1",
            one.name,
            one.definition(),
            stored_us(from_us),
        )

    async def add_subscription(
        self, definition: Mapping[str, Any], from_us: int | None = None, *, retired: bool = False
    ) -> None:
        """The next version of a subscription."""
        one = Subscription.model_validate(definition)
        await self._revise()
        await self.connection.execute(
            "INSERT INTO subscription_version"
            " (subscription, version, customer, plan, definition, effective_from, retired, revision)"
            " SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6,"
            " (SELECT max(revision) FROM billing_apply) FROM subscription_version WHERE subscription = $1",
            one.name,
            one.customer,
            one.plan,
            one.definition(),
            stored_us(from_us),
            retired,
        )
        await self.connection.execute(
            "INSERT INTO subscription_subject (subject, subscription, customer)"
            " SELECT subject, $2, $3 FROM unnest($1::text[]) AS subject ON CONFLICT DO NOTHING",
            one.subjects,
            one.name,
            one.customer,
        )

    async def _revise(self) -> None:
        await self.connection.execute(
            "INSERT INTO billing_apply (applied_by, digest) VALUES ('tests', $1)", bytes(32)
        )

    def event(
        self, subject: str, data: Mapping[str, Any], *, at_us: int | None = None, type_: str = "call"
    ) -> Logged:
        """Append an event at the log's time of now."""
        time_us = self.now_us if at_us is None else at_us
        one = self._tell(Logged(0, 0, type_, subject, time_us, data))
        self._append(one.subject, self._event(one))
        return one

    def void(self, event: Logged) -> Logged:
        """Append the void of an event."""
        one = self._tell(Logged(0, 0, event.type, event.subject, event.time_us, event.data, is_void=True))
        value = json.dumps(
            {
                "specversion": "1.0",
                "id": f"void of {event.offset}",
                "source": f"/tests/{partition_of(event.subject)}",
                "type": "metering.control.void",
                "subject": event.subject,
                "time": rfc3339(event.time_us),
                "data": {
                    "source": f"/tests/{partition_of(event.subject)}",
                    "id": str(event.offset),
                    "type": event.type,
                    "time": rfc3339(event.time_us),
                    "data": dict(event.data),
                },
            }
        )
        self._append(event.subject, value.encode())
        return one

    def tick(self) -> None:
        """Let every partition's frontier come to now."""
        for partition, log in self.logs.items():
            value = tick("/tests", f"{partition}-{len(log)}", self.now_us, f"partition-{partition}")
            log.append(LogRecord(len(log), self.now_us, 1, None, value, ()))

    def advance(self, minutes: int) -> None:
        self.now_us += minutes * MINUTE_US

    def _tell(self, one: Logged) -> Logged:
        offset = len(self.logs[partition_of(one.subject)])
        told = Logged(offset, self.now_us, one.type, one.subject, one.time_us, one.data, one.is_void)
        self.told.append(told)
        return told

    def _event(self, one: Logged) -> bytes:
        return json.dumps(
            {
                "specversion": "1.0",
                "id": str(one.offset),
                "source": f"/tests/{partition_of(one.subject)}",
                "type": one.type,
                "subject": one.subject,
                "time": rfc3339(one.time_us),
                "data": dict(one.data),
            }
        ).encode()

    def _append(self, subject: str, value: bytes) -> None:
        log = self.logs[partition_of(subject)]
        log.append(LogRecord(len(log), self.now_us, 1, subject.encode(), value, ()))

    async def count(self, partition: int, records: int) -> None:
        """Count the next records of a partition, as one batch."""
        while not self.owner.holdings[partition].batches:
            behind = self.owner.holdings[partition].newest.next_offset < len(self.logs[partition])
            if not behind:
                return
            await self.owner.fold(partition, self.logs[partition], records)
        await self.owner.flush([partition])
        self.owner.committed([partition])

    async def count_all(self, chance: Random | None = None) -> None:
        """Count all that is in the log, in batches of any size."""
        for partition in sorted(self.logs):
            while self.owner.holdings[partition].newest.next_offset < len(self.logs[partition]):
                await self.count(partition, 1000 if chance is None else chance.randint(1, 40))

    async def close(self) -> None:
        await finality.close(self.connection)

    async def rate(self, steps: int | None = None) -> None:
        """Rate all that can be rated, or do some steps of it."""
        if self.rater is None:
            self.rater = Rater(self.settings)
        turn = self.turn
        while await self.rater.step(turn) and steps != 1:
            steps = None if steps is None else steps - 1

    @property
    def turn(self) -> Turn:
        if self.rater is None or self.rater._turn is None:
            return Turn(self.rater_connection, INSTRUMENTS, asyncio.Event())
        return self.rater._turn

    async def count_close_rate(self) -> None:
        await self.count_all()
        await self.close()
        await self.rate()

    async def documents(self, subscription: str) -> list[RatedTotal]:
        """Every version of every period, in order."""
        found = []
        for period in await rated.periods(self.connection, subscription):
            for version in await rated.versions(self.connection, subscription, period.period_start_us):
                text = await rated.document(
                    self.connection, subscription, period.period_start_us, version.version
                )
                assert text is not None
                found.append(RatedTotal.model_validate_json(text))
        return found


def partition_of(subject: str) -> int:
    return murmur2_partition(subject.encode(), PARTITIONS)


def subjects(count: int) -> Sequence[str]:
    return [f"subject-{number}" for number in range(count)]
