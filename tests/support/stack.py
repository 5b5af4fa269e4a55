"""The Kafka and Postgres that most tests share: containers when Docker is reachable, else local processes."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from metering.dev.kafka.cluster import KafkaCluster
from metering.dev.postgres.server import PostgresServer


@dataclass(frozen=True, slots=True)
class Stack:
    """Where the shared servers are, and in a few words what they are."""

    description: str
    kafka_bootstrap: str
    postgres_dsn: str

    def database_dsn(self, name: str) -> str:
        """The superuser's address of another database on the same server."""
        return urlunsplit(urlsplit(self.postgres_dsn)._replace(path=f"/{name}"))


@asynccontextmanager
async def local_stack() -> AsyncIterator[Stack]:
    """One broker and one Postgres as processes of this machine, gone afterwards."""
    with directory() as home:
        kafka = KafkaCluster.create(home / "kafka")
        postgres = PostgresServer.create(home / "postgres")
        try:
            await asyncio.gather(postgres.start(), kafka.start())
            yield Stack("local processes", kafka.bootstrap_servers, postgres.dsn())
        finally:
            kafka.kill()
            postgres.remove()


@contextmanager
def directory() -> Iterator[Path]:
    """A temporary directory that another account can reach into, as Postgres needs when we are root."""
    home = Path(tempfile.mkdtemp(prefix="metering-test-"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home)
