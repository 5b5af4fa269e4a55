"""Docker is taken where it is reachable; what it cannot do falls to local processes, with a sentence."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from docker.errors import ImageNotFound
from support import shared
from support.stack import Stack

from metering.dev import stack
from metering.dev.addresses import Addresses
from metering.dev.local import LocalStack

CONTAINERS = Stack("containers", "container:9092", "postgresql://container/postgres")
PROCESSES = Stack("local processes", "process:9092", "postgresql://process/postgres")
LOCAL = Addresses("process:9092", "postgresql://process/metering", "local")

DOCKER = """#!/bin/sh
case "$*" in
  *" up "*) echo 'pull access denied' >&2; exit {up_exit_code} ;;
  *) echo "$*" >> {calls} ;;
esac
"""


@asynccontextmanager
async def containers() -> AsyncIterator[Stack]:
    yield CONTAINERS


def no_image() -> AbstractAsyncContextManager[Stack]:
    raise ImageNotFound("no such image")


@asynccontextmanager
async def processes() -> AsyncIterator[Stack]:
    yield PROCESSES


@pytest.mark.parametrize(
    ("reachable", "in_docker", "taken", "said"),
    [
        (True, containers, CONTAINERS, ["Kafka and Postgres ran as containers."]),
        (False, containers, PROCESSES, ["Kafka and Postgres ran as local processes."]),
        (
            True,
            no_image,
            PROCESSES,
            [
                "Docker is reachable but cannot run them, so they are local processes: no such image",
                "Kafka and Postgres ran as local processes.",
            ],
        ),
    ],
    ids=["docker", "no docker", "docker without the images"],
)
async def test_a_test_run_says_what_it_ran_on(
    monkeypatch: pytest.MonkeyPatch, *, reachable: bool, in_docker: object, taken: Stack, said: list[str]
) -> None:
    monkeypatch.setattr(shared, "daemon_answers", lambda: reachable)
    monkeypatch.setattr(shared, "container_stack", in_docker)
    monkeypatch.setattr(shared, "local_stack", processes)
    heard: list[str] = []
    async with shared.shared_stack(heard.append) as opened:
        assert opened == taken
    assert heard == said


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `metering dev up` says, where a local stack would start at once."""

    async def start(_: LocalStack, *, brokers: int, heap_mb: int) -> Addresses:
        assert (brokers, heap_mb) == (1, stack.HEAP_MB)
        return LOCAL

    monkeypatch.setattr(LocalStack, "start", start)
    monkeypatch.setattr(stack, "kafka_is_fetched", lambda: True)
    for name in ("METERING_KAFKA_BOOTSTRAP_SERVERS", "METERING_POSTGRES_DSN"):
        monkeypatch.delenv(name, raising=False)
    return []


def use_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, up_exit_code: int) -> Path:
    """Put a `docker` first in the path that answers, and notes how it was called."""
    calls = tmp_path / "calls"
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(DOCKER.format(up_exit_code=up_exit_code, calls=calls))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return calls


async def test_up_takes_docker_where_it_is_reachable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, heard: list[str]
) -> None:
    use_docker(monkeypatch, tmp_path, up_exit_code=0)
    state = tmp_path / "state"
    first = await stack.up(state, say=heard.append)
    assert first.source == "docker"
    assert await stack.up(state, say=heard.append) == first
    assert heard == ["Kafka and Postgres: in Docker."] * 2


async def test_up_goes_on_without_the_images_and_leaves_nothing_in_docker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, heard: list[str]
) -> None:
    calls = use_docker(monkeypatch, tmp_path, up_exit_code=1)
    assert await stack.up(tmp_path / "state", say=heard.append) == LOCAL
    assert heard == [
        "Kafka and Postgres: in Docker.",
        "Docker could not start the stack: pull access denied. Going on with local processes.",
        "Kafka and Postgres: as local processes.",
    ]
    assert calls.read_text().splitlines()[-1].endswith("down --volumes")
