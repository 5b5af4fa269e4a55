"""The shared servers as containers, from the public images that `metering dev up` uses too."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from support.stack import Stack
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer

from metering.dev.conditions import until
from metering.dev.kafka.readiness import live_brokers
from metering.dev.ports import free_ports
from metering.dev.postgres.readiness import accepts_queries

KAFKA_IMAGE: Final = os.environ.get("METERING_KAFKA_IMAGE", "apache/kafka:4.3.1")
POSTGRES_IMAGE: Final = os.environ.get("METERING_POSTGRES_IMAGE", "postgres:18")
_CLIENT_PORT: Final = 9092
_READY_S: Final = 120


@asynccontextmanager
async def container_stack() -> AsyncIterator[Stack]:
    """One broker and one Postgres in containers, removed afterwards.

    Raises:
        DockerException: for one because an image cannot be had.
    """
    password = secrets.token_urlsafe(16)
    postgres = PostgresContainer(POSTGRES_IMAGE, username="postgres", password=password, driver=None)
    kafka, bootstrap_servers = _kafka()
    try:
        await asyncio.to_thread(postgres.start)
        await asyncio.to_thread(kafka.start)
        dsn = postgres.get_connection_url()

        async def ready() -> bool:
            return bool(await live_brokers(bootstrap_servers)) and await accepts_queries(dsn)

        assert await until(ready, deadline_s=_READY_S), (
            f"the containers do not answer:\n{_logs(kafka, postgres)}"
        )
        yield Stack(f"containers ({KAFKA_IMAGE}, {POSTGRES_IMAGE})", bootstrap_servers, dsn)
    finally:
        kafka.stop()
        postgres.stop()


def _kafka() -> tuple[DockerContainer, str]:
    """A broker that tells its clients the port at which this machine reaches it."""
    port = free_ports(1)[0]
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(_CLIENT_PORT, port)
    address = f"{container.get_docker_client().host()}:{port}"
    settings = {
        "CLUSTER_ID": "bWV0ZXJpbmctdGVzdHMtMQ",
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9094",
        "KAFKA_LISTENERS": f"CLIENT://:{_CLIENT_PORT},INTERNAL://:9093,CONTROLLER://:9094",
        "KAFKA_ADVERTISED_LISTENERS": f"CLIENT://{address},INTERNAL://localhost:9093",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "INTERNAL",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
        "KAFKA_HEAP_OPTS": "-Xmx384m",
    }
    return container.with_envs(**settings), address


def _logs(*containers: DockerContainer) -> str:
    return "\n".join(text.decode(errors="replace") for each in containers for text in each.get_logs())
