"""The whole service on servers of its own, with usage that flows: what a drill breaks and mends."""

import asyncio
import json
import shlex
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
import yaml
from confluent_kafka import Consumer, KafkaException, TopicPartition
from drills.console import Console
from faults.producing import producer, send
from faults.topic_log import murmur2_partition
from faults.traffic import Sent
from oracle.logs import rfc3339
from support.processes import CommandProcess, Commands
from support.proxy import Proxy

from aggregator.store.connection import Connection
from metering.dev.kafka.server import KafkaServer
from metering.dev.ports import free_ports
from metering.dev.postgres.server import PostgresServer
from metering.telemetry.kinds import Process

TOPIC: Final = "usage.drill"
PARTITIONS: Final = 4
PACE_RECORDS: Final = 40
"""Published in a second, all the while."""

COMMAND_S: Final = 300
"""Longest wait for a command: a slow database, or a busy machine, makes it slow."""

ENDING_S: Final = 60
"""Longest wait for a process that was told to end: it drains first."""

SUBJECTS: Final = [f"subject-{number}" for number in range(40)]

CATALOG: Final = """\
meters:
  - {name: calls, event_type: call, aggregation: count, window: 1m, grace: 0s}
  - {name: tokens, event_type: call, aggregation: sum, value: n, group_by: [model], window: 1m, grace: 0s,
     cardinality_limit: 5}
  - {name: uploads, event_type: upload, aggregation: count, window: 1m, grace: 0s}
"""

COMMANDS: Final[Mapping[Process, str]] = {
    "worker": "worker",
    "closer": "close",
    "rater": "rate",
    "observer": "observe",
    "auditor": "prove",
    "api": "api",
}


Make = Callable[[int], Sequence[Sent]]


class Part:
    """One process of the service, which keeps its admin port when it is started again."""

    def __init__(self, commands: Commands, kind: Process, environment: Mapping[str, str]) -> None:
        self.kind = kind
        (self.port,) = free_ports(1)
        self._commands = commands
        self._environment = {"METERING_ADMIN_PORT": str(self.port), **environment}
        self.process = self.start()

    def start(self) -> CommandProcess:
        """Run its command."""
        self.process = self._commands.start(COMMANDS[self.kind], **self._environment)
        return self.process

    def set(self, **environment: str) -> None:
        """Give it these settings, from its next start on."""
        self._environment |= environment

    @property
    def has_ended(self) -> bool:
        return self.process.exit_code is not None

    def kill(self) -> None:
        self.process.kill()

    def freeze(self) -> None:
        self.process.freeze()


class System:
    """Servers, processes and traffic of one drill.

    Args:
        commands: starts processes.
        folder: for files of its own.
        kafka: a broker for this drill alone.
        postgres: a server for this drill alone.
        proxy: stands before the database, for all processes.
    """

    def __init__(
        self, commands: Commands, folder: Path, kafka: KafkaServer, postgres: PostgresServer, proxy: Proxy
    ) -> None:
        self.kafka = kafka
        self.postgres = postgres
        self.proxy = proxy
        self.parts: list[Part] = []
        self._commands = commands
        self._folder = folder
        self._sent: list[dict[str, Any]] = []
        self._storm = AsyncExitStack()
        (api_port,) = free_ports(1)
        self._console = Console(api_port)
        commands.environment |= {
            "METERING_LOG_FORMAT": "json",
            "METERING_KAFKA_BOOTSTRAP_SERVERS": kafka.address,
            "METERING_POSTGRES_DSN": postgres.dsn(port=proxy.port),
            "METERING_API_PORT": str(api_port),
        }
        self.take_topic(TOPIC, PARTITIONS)

    def take_topic(self, name: str, partitions: int) -> None:
        """Whatever is started from now on counts this topic, and producers publish to it."""
        contract = {
            "name": name,
            "partitions": partitions,
            "clock": "broker",
            "replication_factor": 1,
            "min_insync_replicas": 1,
            "skew_s": 5,  # so soon a catalog may take effect
        }
        self._topic = name
        self.set(METERING_TOPIC_FILE=str(self.write(f"{name}.yaml", yaml.safe_dump(contract))))

    async def set_up(self) -> None:
        """What a person does first."""
        await self.run("metering migrate")
        await self.run("metering topics apply")
        await self.apply_catalog(CATALOG)

    async def apply_catalog(self, text: str) -> None:
        await self.run(f"metering catalog apply {self.write('catalog.yaml', text)}")

    def start(self, *kinds: Process, **environment: str) -> list[Part]:
        """Start one process of each of these kinds; `environment` differs for them."""
        started = [Part(self._commands, kind, environment) for kind in kinds]
        self.parts += started
        return started

    def set(self, **environment: str) -> None:
        """Give these settings to whatever is started from now on."""
        self._commands.environment |= environment

    def start_all_again(self, **environment: str) -> None:
        """Whatever runs is ended, and runs with these settings from now on."""
        self.set(**environment)
        for part in self.parts:
            part.kill()
            part.start()

    @property
    def targets(self) -> dict[str, list[int]]:
        """What Prometheus is to scrape."""
        targets: dict[str, list[int]] = {}
        for part in self.parts:
            targets.setdefault(part.kind, []).append(part.port)
        return targets

    async def run(self, command: str) -> str:
        """Run a command as it is written on a page, to its end, which must be good; give what it printed."""
        return await self._commands.run(*shlex.split(command)[1:], deadline_s=COMMAND_S)

    async def type(self, line: str) -> None:
        """Type a line of a page; a process of ours takes the place of one that has ended, if any has."""
        words = shlex.split(line)
        kind = next((kind for kind, command in COMMANDS.items() if words == ["metering", command]), None)
        if kind is not None:
            await self._start_again(kind)
        elif words[0] == "metering":
            await self.run(line)
        else:
            await self._do(words)

    async def _start_again(self, kind: Process) -> None:
        for part in self.parts:
            if part.kind == kind and part.has_ended:
                part.start()
                return
        self.start(kind)

    async def _do(self, words: Sequence[str]) -> None:
        """A command that is not ours: `kill`, of one of our processes."""
        ending = [part for part in self.parts if words[0] == "kill" and str(part.process.pid) == words[-1]]
        typed = await asyncio.create_subprocess_exec(*words)
        assert await typed.wait() == 0, words
        for part in ending:
            await part.process.ended(deadline_s=ENDING_S)

    async def log_in(self) -> None:
        """Open the console, once it serves."""
        create = "metering token create drill --scopes status:read --all-customers --json"
        await self._console.log_in(json.loads(await self.run(create))["token"])

    async def console(self) -> str:
        """What the console shows now."""
        return await self._console.text()

    async def doctor(self) -> dict[str, dict[str, Any]]:
        """What `metering doctor --json` finds, or cannot look at, by code."""
        process = self._commands.start("doctor", "--json")
        await process.ended(deadline_s=COMMAND_S)
        lines = [json.loads(line) for line in process.output.read_text().splitlines()]
        return {line["code"]: line for line in lines if line["result"] != "ok"}

    def events(self, count: int, **changes: Any) -> list[Sent]:
        """New events as an honest producer sends them, but for these attributes, or `data`."""
        return [self._event(**changes) for _ in range(count)]

    def copies(self, count: int, **changes: Any) -> list[Sent]:
        """Events that were sent before, but for these attributes, or `data`."""
        return [_record({**self._sent[number], **changes}) for number in range(count)]

    def _event(self, **changes: Any) -> Sent:
        number = len(self._sent)
        event = {
            "specversion": "1.0",
            "id": str(number),
            "source": "/drill",
            "type": "call",
            "subject": SUBJECTS[number % len(SUBJECTS)],
            "time": rfc3339(time.time_ns() // 1000),
            "data": {"n": 1, "model": "small"},
            **changes,
        }
        self._sent.append(event)
        return _record(event)

    async def storm(self, make: Make) -> None:
        """Publish this too, from now on."""
        await self._storm.enter_async_context(self.flowing(make))

    async def end_storm(self) -> None:
        await self._storm.aclose()

    @asynccontextmanager
    async def flowing(self, make: Make) -> AsyncIterator[None]:
        """Publish what `make(count)` makes, at a steady pace, also while no broker takes it."""
        through = producer(self.kafka.address)

        async def flow() -> None:
            while True:
                for record in make(PACE_RECORDS // 10):
                    with suppress(KafkaException):  # there is no such topic: a producer drops it
                        through.produce(self._topic, record.value, record.key, headers=list(record.headers))
                through.poll(0)
                await asyncio.sleep(0.1)

        task = asyncio.create_task(flow())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await asyncio.to_thread(through.flush, 10)

    async def misplace(self, records: Sequence[Sent]) -> None:
        """Publish these to partitions that their keys do not belong to, as short as they can be made."""
        through = producer(self.kafka.address, compression_type="gzip")
        right = [murmur2_partition((one.key or b"").decode(), PARTITIONS) for one in records]
        wrong = [
            one._replace(partition=(partition + 1) % PARTITIONS)
            for one, partition in zip(records, right, strict=True)
        ]
        await asyncio.to_thread(send, through, TOPIC, wrong)

    async def end_offset(self, partition: int) -> int:
        """Where the log of a partition ends."""

        def ask() -> int:
            consumer = Consumer({"bootstrap.servers": self.kafka.address, "group.id": "drill"})
            try:
                return consumer.get_watermark_offsets(TopicPartition(TOPIC, partition), timeout=10)[1]
            finally:
                consumer.close()

        return await asyncio.to_thread(ask)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Connection]:
        """A superuser's connection, straight to the server."""
        connection = await asyncpg.connect(
            self.postgres.dsn(), server_settings={"search_path": "metering"}, timeout=5
        )
        try:
            yield connection
        finally:
            await connection.close()

    def write(self, name: str, text: str) -> Path:
        file = self._folder / name
        file.write_text(text)
        return file


def _record(event: Mapping[str, Any]) -> Sent:
    return Sent(event["subject"].encode(), json.dumps(event).encode())
