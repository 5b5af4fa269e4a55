"""Where a worker is set to work: the servers, one topic, and databases that count it."""

from dataclasses import dataclass
from pathlib import Path

from commands import Environment, run, settings
from servers import Servers, new_database
from workload import CATALOG


@dataclass(frozen=True, slots=True)
class Site:
    """Where runs take place: the servers, and one topic with its contract."""

    servers: Servers
    home: Path
    topic: str
    partitions: int
    clock: str = "broker"

    def settings(self, **more: str) -> Environment:
        """The settings that all processes share, and more."""
        contract = self.home / f"{self.topic}.yaml"
        contract.write_text(
            f"{{name: {self.topic}, partitions: {self.partitions}, clock: {self.clock}, retention_ms: -1}}\n"
        )
        return settings(
            kafka_bootstrap_servers=self.servers.kafka.address,
            topic=self.topic,
            topic_file=str(contract),
            log_format="json",
            **more,
        )

    async def prepared(self, database: str, catalog: str = CATALOG) -> Environment:
        """Make the topic if it is not there, and an empty database that counts it; its worker's settings."""
        dsn = await new_database(self.servers.postgres, database)
        environment = self.settings(postgres_dsn=dsn, consumer_group=database)
        catalog_file = self.home / "catalog.yaml"
        catalog_file.write_text(catalog)
        run(environment, "migrate")
        run(environment, "topics", "apply")
        run(environment, "catalog", "apply", str(catalog_file))
        return environment
