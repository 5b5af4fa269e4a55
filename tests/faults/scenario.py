"""One topic, one database, workers as processes, and traffic whose random choices come from one seed."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import asyncpg
import yaml
from faults.producing import produce, producer, send
from faults.traffic import MIX, SUBJECTS, Sent, Traffic
from oracle.logs import METERS, METERS_YAML, RULES
from support.processes import CommandProcess, Commands

from aggregator.state import TopicRules
from aggregator.store.connection import Connection
from metering.dev.conditions import until
from schemas.topic import load_topic

if TYPE_CHECKING:
    from faults.topic_log import LogRecord
    from oracle.recount import SpokenMeter

DEADLINE_S: Final = 60
SESSION_S: Final = 2.0

PACE_RECORDS: Final = 500
"""Published in a second while things go wrong."""

AHEAD_RECORDS: Final = 600

SETTINGS: Final[Mapping[str, str]] = {
    "METERING_LOG_FORMAT": "json",
    "METERING_SESSION_TIMEOUT_S": str(SESSION_S),
    "METERING_FLUSH_INTERVAL_S": "0.05",
    "METERING_FLUSH_RECORDS": "200",
    "METERING_MAX_POLL_RECORDS": "100",
    "METERING_BUFFER_RECORDS": "1000",
    "METERING_STATEMENT_TIMEOUT_S": "2",
    "METERING_LOCK_TIMEOUT_S": "1",
    "METERING_DRAIN_DEADLINE_S": "5",
    "METERING_TICK_INTERVAL_S": "3600",
}
"""Everything small and quick, so that a few thousand records are many flushes."""

_DATABASE_AWAY: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Scenario:
    """What a test of faults plays with.

    Args:
        commands: starts processes.
        directory: for files of its own.
        bootstrap_servers: of Kafka.
        dsn: of an empty database, straight to the server.
        topic: a name that nobody else uses.
        seed: whatever is random comes from it.
        partitions: of the topic.
        clock: of the topic.
        replicas: of each partition, all but one of which must have a record.
    """

    def __init__(
        self,
        commands: Commands,
        directory: Path,
        bootstrap_servers: str,
        dsn: str,
        topic: str,
        seed: int,
        *,
        partitions: int = 4,
        clock: Literal["broker", "record"] = "broker",
        replicas: int = 1,
    ) -> None:
        self.commands = commands
        self.bootstrap_servers = bootstrap_servers
        self.dsn = dsn
        self.seed = seed
        self.published = 0
        self.deleted: Mapping[int, Sequence[LogRecord]] = {}
        """Records, by partition, of which some are no longer in the log."""
        self.replaced: Mapping[int, Sequence[LogRecord]] | None = None
        """The whole log, by partition, if what lies in the topic now is another one."""
        self.meters: Sequence[SpokenMeter] = METERS
        """As the oracle knows them, each version for itself."""
        # Hours instead of days: events are early, late and too old within one log.
        self.rules = TopicRules(
            name=topic,
            partitions=partitions,
            clock=clock,
            partitioner="murmur2",
            acceptance_window_us=RULES.acceptance_window_us,
            skew_us=RULES.skew_us,
            repair_horizon_us=RULES.repair_horizon_us,
            identity_key=bytes(16),
        )
        self.workers: list[CommandProcess] = []
        self.closers: list[CommandProcess] = []
        contract = self._contract(replicas)
        self.configs: Mapping[str, str] = load_topic(contract, "topic.yaml").configs()
        """Of the topic, as `metering topics apply` makes it."""
        self._directory = directory
        self._witness: Connection | None = None
        self._turn = asyncio.Lock()
        commands.environment |= {
            **SETTINGS,
            "METERING_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            "METERING_POSTGRES_DSN": dsn,
            "METERING_TOPIC_FILE": str(self.write("topic.yaml", contract)),
            "METERING_CONSUMER_GROUP": topic,
        }

    def _contract(self, replicas: int) -> str:
        contract = {
            "name": self.rules.name,
            "partitions": self.rules.partitions,
            "clock": self.rules.clock,
            "replication_factor": replicas,
            "min_insync_replicas": max(1, replicas - 1),
            "acceptance_window_s": self.rules.acceptance_window_us // 1_000_000,
            "skew_s": self.rules.skew_us // 1_000_000,
            "repair_horizon_s": self.rules.repair_horizon_us // 1_000_000,
            "retention_ms": -1,
        }
        return yaml.safe_dump(contract)

    async def set_up(self) -> None:
        """What a person does first: migrate, apply the topic, apply the catalog."""
        await self.commands.run("migrate")
        await self.commands.run("topics", "apply")
        await self.apply_catalog(METERS_YAML)

    async def apply_catalog(self, meters: str) -> None:
        """Make these the meters; if one of the oracle's changes, tell `meters`."""
        await self.commands.run("catalog", "apply", str(self.write("catalog.yaml", meters)))

    def traffic(
        self, name: str = "a", *, log_us: int | None = None, subjects: Sequence[str] = SUBJECTS
    ) -> Traffic:
        """A source of events of its own."""
        return Traffic(
            self.seed, partitions=self.rules.partitions, name=name, log_us=log_us, subjects=subjects
        )

    def worker(self, *options: str, **environment: str) -> CommandProcess:
        """A worker that has just been started."""
        self.workers.append(self.commands.start("worker", *options, **environment))
        return self.workers[-1]

    async def member(self, **environment: str) -> CommandProcess:
        """A worker that has claimed what the group gave to it."""
        worker = self.worker(**environment)
        await worker.logged("partitions_claimed", deadline_s=DEADLINE_S)
        return worker

    def closer(self) -> CommandProcess:
        """A closer that has just been started: from now on windows become final, whatever happens."""
        self.closers.append(self.commands.start("close", METERING_CLOSE_INTERVAL_S="0.1"))
        return self.closers[-1]

    async def catch_up(self, **environment: str) -> None:
        """Count what is left, with one more worker."""
        await self.commands.run("worker", "--until-caught-up", deadline_s=DEADLINE_S, **environment)

    async def publish(self, records: Iterable[Sent], **options: Any) -> None:
        """Publish records; options are those of `produce`."""
        self.published += await asyncio.to_thread(
            produce, self.bootstrap_servers, self.rules.name, records, **options
        )

    @asynccontextmanager
    async def flowing(self, traffic: Traffic, mix: Mapping[str, int] = MIX) -> AsyncIterator[None]:
        """Publish at a steady pace for as long as the body runs, but never far before what is counted."""
        through = producer(self.bootstrap_servers)
        ended = asyncio.Event()

        async def flow() -> None:
            while not ended.is_set():
                records = traffic.records(PACE_RECORDS // 10, mix)
                self.published += await asyncio.to_thread(send, through, self.rules.name, records)
                await self.has_counted(self.published - AHEAD_RECORDS)
                await asyncio.sleep(0.1)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(flow())
            yield
            ended.set()

    async def has_counted(self, count: int, *, deadline_s: float = DEADLINE_S) -> None:
        """Wait until so many offsets are accounted for."""
        counted: int | None = None

        async def there() -> bool:
            nonlocal counted
            counted = await self.counted()
            return counted is not None and counted >= count

        assert await until(there, deadline_s=deadline_s), f"{counted} offsets counted, not {count}"

    async def counts_on(self, count: int) -> None:
        """Wait until so many more offsets are accounted for."""
        await self.has_counted((await self.counted() or 0) + count)

    async def counted(self) -> int | None:
        """Offsets accounted for so far; None while the database does not answer."""
        counted = await self.answer("SELECT sum(next_offset - first_offset) FROM ingest_partition")
        return None if counted is None else int(counted)

    async def answer(self, question: str) -> Any:
        """One value that the database says; None while it does not answer."""
        try:
            async with self._turn:
                return await (await self.witness()).fetchval(question)
        except _DATABASE_AWAY:
            return None

    async def next_offsets(self) -> dict[int, int]:
        """By partition, how far it is counted."""
        witness = await self.witness()
        rows = await witness.fetch("SELECT partition, next_offset FROM ingest_partition")
        return {row["partition"]: row["next_offset"] for row in rows}

    async def witness(self) -> Connection:
        """A connection beside all faults, made again when its server has been away."""
        if self._witness is None or self._witness.is_closed():
            self._witness = await asyncpg.connect(
                self.dsn, server_settings={"search_path": "metering"}, timeout=2, command_timeout=5
            )
        return self._witness

    def close(self) -> None:
        self.commands.kill_all()
        if self._witness is not None:
            self._witness.terminate()

    def write(self, name: str, text: str) -> Path:
        file = self._directory / name
        file.write_text(text)
        return file
