"""Fixtures that every test may use; what stands behind them is in `support/`."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import settings
from support.processes import Commands, plain_environment
from support.stack import Stack, directory
from support.topics import TopicFactory, create_topic, delete_topics, unique_name

from metering.dev.kafka.cluster import KafkaCluster
from metering.dev.kafka.server import KafkaServer
from metering.dev.postgres.server import PostgresServer

SAID = pytest.StashKey[list[str]]()

settings.register_profile("without a clock", deadline=None)  # a busy machine is no failure
settings.load_profile("without a clock")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SAID] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    workeroutput = getattr(session.config, "workeroutput", None)
    if workeroutput is not None:  # this is one of several processes: the first of them speaks for all
        workeroutput["said"] = session.config.stash[SAID]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    said = node.config.stash[SAID]
    told = getattr(node, "workeroutput", {})  # nothing of a process that died
    said += [sentence for sentence in told.get("said", ()) if sentence not in said]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for sentence in config.stash[SAID]:
        terminalreporter.write_line(sentence)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(pytestconfig: pytest.Config) -> AsyncIterator[Stack]:
    """The Kafka and Postgres that most tests share; the end of the run says what they were."""
    # Imported only here, because Docker's client is slow to import and unit tests do without.
    from support.shared import shared_stack  # noqa: PLC0415

    async with shared_stack(pytestconfig.stash[SAID].append) as running:
        yield running


@pytest.fixture
def say(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Tells in a sentence, at the end of the run, what it ran with or had to do without."""
    return pytestconfig.stash[SAID].append


@pytest.fixture
def kafka_bootstrap(stack: Stack) -> str:
    return stack.kafka_bootstrap


@pytest_asyncio.fixture
async def database(stack: Stack) -> AsyncIterator[str]:
    """The DSN of a new and empty database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(stack.postgres_dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        yield stack.database_dsn(name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


@pytest_asyncio.fixture
async def topic(kafka_bootstrap: str) -> AsyncIterator[TopicFactory]:
    """Makes topics with names of their own, and removes them after the test."""
    made: list[str] = []

    async def make(*, partitions: int = 1, configs: Mapping[str, str] | None = None) -> str:
        name = unique_name()
        await create_topic(kafka_bootstrap, name, partitions=partitions, configs=configs)
        made.append(name)
        return name

    yield make
    if made:
        await delete_topics(kafka_bootstrap, made)


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    """Starts `metering …` processes; add this test's settings to `commands.environment`."""
    started = Commands(tmp_path, plain_environment())
    yield started
    started.kill_all()


@pytest_asyncio.fixture
async def own_postgres() -> AsyncIterator[PostgresServer]:
    """A Postgres for this test alone, to be stopped, killed or frozen at will."""
    with directory() as home:
        server = PostgresServer.create(home)
        try:
            await server.start()
            yield server
        finally:
            server.remove()


@pytest_asyncio.fixture
async def own_kafka() -> AsyncIterator[KafkaServer]:
    """A broker for this test alone, to be stopped, killed or frozen at will."""
    with directory() as home:
        cluster = KafkaCluster.create(home)
        try:
            await cluster.start()
            yield cluster.servers[0]
        finally:
            cluster.kill()


@pytest_asyncio.fixture
async def kafka_cluster() -> AsyncIterator[KafkaCluster]:
    """Three brokers for this test alone: every partition thrice, two copies needed for an acknowledgement."""
    with directory() as home:
        cluster = KafkaCluster.create(home, brokers=3)
        try:
            await cluster.start()
            yield cluster
        finally:
            cluster.kill()
