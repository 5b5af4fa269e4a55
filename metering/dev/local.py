"""The stack as processes of this machine."""

import shutil
from pathlib import Path
from typing import Final

from metering.dev.addresses import Addresses
from metering.dev.errors import StackError
from metering.dev.kafka.cluster import KafkaCluster
from metering.dev.kafka.server import KafkaServer
from metering.dev.postgres.database import make_database
from metering.dev.postgres.server import PostgresServer
from metering.dev.status import ServerStatus

_DATABASE: Final = "metering"


class LocalStack:
    """A Kafka cluster and a Postgres, each in a directory under the state directory."""

    def __init__(self, state: Path) -> None:
        self._kafka_dir = state / "kafka"
        self._postgres_dir = state / "postgres"

    def exists(self) -> bool:
        """Tell whether it has been set up here before, running or not."""
        return bool(self._found())

    async def start(self, *, brokers: int, heap_mb: int) -> Addresses:
        """Start what does not run yet, with the data it had.

        Raises:
            StackError: when a server cannot be had, or the data are those of another number of brokers.
        """
        kafka = KafkaCluster.open(self._kafka_dir) or KafkaCluster.create(self._kafka_dir, brokers=brokers)
        if len(kafka.servers) != brokers:
            raise StackError(
                "other_shape",
                f"The Kafka in {self._kafka_dir} has {len(kafka.servers)} broker(s), not {brokers}: remove it"
                " first with `metering dev down --purge`.",
            )
        kafka = kafka.with_heap(heap_mb)
        try:
            await kafka.start()
            postgres = PostgresServer.open(self._postgres_dir) or PostgresServer.create(self._postgres_dir)
            await postgres.start()
        except StackError:
            await self.stop()
            raise
        await make_database(postgres.dsn(), _DATABASE)
        return Addresses(kafka.bootstrap_servers, postgres.dsn(_DATABASE), "local")

    async def servers(self) -> tuple[ServerStatus, ...]:
        """Ask each server whether it answers."""
        return tuple(
            [
                ServerStatus(server.name, server.address, server.pid, server.log, await server.answers())
                for server in self._found()
            ]
        )

    async def stop(self) -> None:
        """Stop every server that runs; the data stay."""
        if kafka := KafkaCluster.open(self._kafka_dir):
            await kafka.stop()
        if postgres := PostgresServer.open(self._postgres_dir):
            await postgres.stop()

    def remove(self) -> None:
        """End every server at once and delete the data."""
        if kafka := KafkaCluster.open(self._kafka_dir):
            kafka.kill()
        if postgres := PostgresServer.open(self._postgres_dir):
            postgres.remove()
        for directory in (self._kafka_dir, self._postgres_dir):
            shutil.rmtree(directory, ignore_errors=True)

    def _found(self) -> tuple[KafkaServer | PostgresServer, ...]:
        kafka, postgres = KafkaCluster.open(self._kafka_dir), PostgresServer.open(self._postgres_dir)
        return (*(kafka.servers if kafka else ()), *((postgres,) if postgres else ()))
