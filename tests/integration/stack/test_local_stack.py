"""`metering dev`: what is chosen, what is found again by another process, and what is never touched."""

from pathlib import Path

import asyncpg
import msgspec
import pytest
from support.stack import directory

from metering.dev import stack
from metering.dev.addresses import Addresses
from metering.dev.errors import StackError
from metering.dev.kafka.cluster import KafkaCluster
from metering.dev.local import LocalStack
from metering.dev.postgres.server import PostgresServer
from metering.dev.processes import Identity, ServerProcess
from metering.dev.status import StackStatus
from metering.settings import Settings

KAFKA, POSTGRES = "METERING_KAFKA_BOOTSTRAP_SERVERS", "METERING_POSTGRES_DSN"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (KAFKA, POSTGRES, "METERING_CONFIG"):
        monkeypatch.delenv(name, raising=False)


async def test_addresses_in_the_environment_come_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(KAFKA, "broker:9092")
    monkeypatch.setenv(POSTGRES, "postgresql://db/metering")
    said: list[str] = []
    given = await stack.up(tmp_path, say=said.append)
    assert given == Addresses("broker:9092", "postgresql://db/metering", "environment")
    assert said == ["Kafka and Postgres: those that the environment names."]
    assert await stack.status(tmp_path) == StackStatus(given, ())


async def test_one_address_alone_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(KAFKA, "broker:9092")
    with pytest.raises(StackError, match=POSTGRES) as refused:
        await stack.up(tmp_path, say=lambda _: None)
    assert refused.value.code == "half_configured"


async def test_without_java_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match="Java 17") as refused:
        await stack.up(tmp_path / "state", say=lambda _: None)
    assert refused.value.code == "java_missing"


async def test_without_maven_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "java").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("METERING_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(StackError, match="Maven") as refused:
        await stack.up(tmp_path / "state", say=lambda _: None)
    assert refused.value.code == "maven_missing"


async def test_up_down_and_up_again_keeps_addresses_and_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.dev.docker.daemon_answers", lambda: False)
    with directory() as state:
        try:
            first = await stack.up(state, say=lambda _: None)
            assert first.source == "local"
            connection = await asyncpg.connect(first.postgres_dsn)
            await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
            await connection.close()

            pids = _pids(state)
            assert await stack.up(state, say=lambda _: None) == first
            assert _pids(state) == pids
            status = await stack.status(state)
            assert (status.addresses, [server.answers for server in status.servers]) == (first, [True, True])

            monkeypatch.setenv("METERING_CONFIG", str(state / "metering.toml"))
            settings = Settings()
            assert settings.kafka_bootstrap_servers == first.kafka_bootstrap_servers
            assert settings.postgres_dsn.get_secret_value() == first.postgres_dsn

            await stack.down(state)
            assert _pids(state) == [None, None]
            assert (await stack.status(state)).addresses is None

            assert await stack.up(state, say=lambda _: None) == first
            connection = await asyncpg.connect(first.postgres_dsn)
            assert await connection.fetchval("SELECT answer FROM kept") == 42
            await connection.close()

            with pytest.raises(StackError) as refused:
                await stack.up(state, say=lambda _: None, brokers=3)
            assert refused.value.code == "other_shape"
        finally:
            await stack.purge(state)
        assert not LocalStack(state).exists()


def test_a_process_that_only_has_the_same_pid_is_never_taken_for_the_server(tmp_path: Path) -> None:
    log, identity_file = tmp_path / "log", tmp_path / "identity.json"
    process = ServerProcess.spawn(["sleep", "60"], log=log, identity_file=identity_file)
    try:
        found = ServerProcess.find(identity_file)
        assert found is not None
        assert found.pid == process.pid
        identity = msgspec.json.decode(identity_file.read_bytes(), type=Identity)
        older = msgspec.structs.replace(identity, started_s=identity.started_s - 60)
        identity_file.write_bytes(msgspec.json.encode(older))
        assert ServerProcess.find(identity_file) is None
    finally:
        process.kill()


def _pids(state: Path) -> list[int | None]:
    """The servers as another process would find them."""
    kafka, postgres = KafkaCluster.open(state / "kafka"), PostgresServer.open(state / "postgres")
    assert kafka is not None
    assert postgres is not None
    return [kafka.servers[0].pid, postgres.pid]
