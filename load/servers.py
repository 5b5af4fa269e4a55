"""A Kafka and a Postgres of the benchmark's own, and what they have cost."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
import psutil

from metering.dev.kafka.cluster import KafkaCluster
from metering.dev.kafka.server import KafkaServer
from metering.dev.postgres.server import PostgresServer

KAFKA_HEAP_MB: Final = 1024


@dataclass(frozen=True, slots=True)
class Servers:
    """One broker and one Postgres, as processes of this machine."""

    kafka: KafkaServer
    postgres: PostgresServer


class CpuSeconds(NamedTuple):
    """User and system time that the servers have used since they began."""

    kafka: float
    postgres: float

    def since(self, earlier: "CpuSeconds") -> "CpuSeconds":
        """What was used in between."""
        return CpuSeconds(self.kafka - earlier.kafka, self.postgres - earlier.postgres)


@asynccontextmanager
async def running_servers() -> AsyncIterator[Servers]:
    """Start both; they and their data are gone afterwards.

    Raises:
        StackError: when one cannot be had.
    """
    with directory() as home:
        cluster = KafkaCluster.create(home / "kafka", heap_mb=KAFKA_HEAP_MB)
        postgres = PostgresServer.create(home / "postgres")
        try:
            await asyncio.gather(cluster.start(), postgres.start())
            yield Servers(cluster.servers[0], postgres)
        finally:
            cluster.kill()
            postgres.remove()


@contextmanager
def directory() -> Iterator[Path]:
    """A temporary directory that another account can reach into, as Postgres needs when we are root."""
    home = Path(tempfile.mkdtemp(prefix="metering-load-"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home)


def cpu_seconds(servers: Servers) -> CpuSeconds:
    """What they have used so far, ended sessions of Postgres included."""
    return CpuSeconds(_cpu_seconds(servers.kafka.pid), _cpu_seconds(servers.postgres.pid))


def _cpu_seconds(pid: int | None) -> float:
    if pid is None:
        raise RuntimeError("the server does not run any more; see its log")
    server = psutil.Process(pid)
    times = server.cpu_times()
    used_s = float(times.user + times.system + times.children_user + times.children_system)
    for child in server.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue  # its time has become its parent's since
        used_s += times.user + times.system
    return used_s


async def new_database(postgres: PostgresServer, name: str) -> str:
    """Make an empty database; its DSN. `name` is a plain word of ours."""
    await _execute(postgres, f"CREATE DATABASE {name}")
    return postgres.dsn(name)


async def drop_database(postgres: PostgresServer, name: str) -> None:
    """Remove a database: what autovacuum does to it would be in the WAL of the next run."""
    await _execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(postgres: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(postgres.dsn())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
