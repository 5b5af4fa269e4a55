"""The stack as containers, from the public images, where a Docker daemon is reachable."""

import asyncio
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import msgspec

from metering.dev.addresses import Addresses
from metering.dev.errors import StackError
from metering.dev.kafka.readiness import live_brokers
from metering.dev.ports import free_ports
from metering.dev.postgres.readiness import accepts_queries
from metering.dev.status import ServerStatus

COMPOSE_FILE: Final = Path(__file__).parents[2] / "deploy" / "compose" / "compose.yaml"


class _Project(msgspec.Struct, frozen=True):
    """What the compose file is filled in with; kept, because the volumes remember the password."""

    name: str
    kafka_port: int
    postgres_port: int
    postgres_password: str

    @classmethod
    def new(cls) -> Self:
        kafka_port, postgres_port = free_ports(2)
        name = f"metering-dev-{secrets.token_hex(4)}"
        return cls(name, kafka_port, postgres_port, secrets.token_urlsafe(16))

    @property
    def addresses(self) -> Addresses:
        dsn = f"postgresql://postgres:{self.postgres_password}@127.0.0.1:{self.postgres_port}/metering"
        return Addresses(f"127.0.0.1:{self.kafka_port}", dsn, "docker")

    def variables(self, heap_mb: int) -> Mapping[str, str]:
        return {
            "METERING_KAFKA_PORT": str(self.kafka_port),
            "METERING_KAFKA_HEAP_MB": str(heap_mb),
            "METERING_POSTGRES_PORT": str(self.postgres_port),
            "METERING_POSTGRES_PASSWORD": self.postgres_password,
        }


class DockerStack:
    """A compose project with one broker and one Postgres, described in the state directory."""

    def __init__(self, state: Path) -> None:
        self._file = state / "docker.json"

    @staticmethod
    def is_reachable() -> bool:
        """Tell whether a daemon and the compose plugin answer, and the compose file is at hand."""
        return COMPOSE_FILE.exists() and daemon_answers() and _succeeds("compose", "version")

    async def start(self, *, heap_mb: int) -> Addresses:
        """Start the containers, with the data they had, and wait until they are healthy.

        If they do not start, nothing of a project that is new is left behind.

        Raises:
            StackError: `docker_failed`, for one because an image cannot be had.
        """
        known = self._project()
        project = known or _Project.new()
        self._file.touch(mode=0o600)  # it holds the password
        self._file.write_bytes(msgspec.json.encode(project))
        up = await asyncio.to_thread(_compose, project, "up", "--detach", "--wait", heap_mb=heap_mb)
        if up.returncode != 0:
            await (self.stop() if known else self.remove())
            raise StackError("docker_failed", f"Docker could not start the stack: {_last_line(up.stderr)}")
        return project.addresses

    async def stop(self) -> None:
        """Stop the containers; the volumes stay.

        Raises:
            StackError: `docker_failed`.
        """
        await self._down()

    async def remove(self) -> None:
        """Remove the containers with their volumes.

        Raises:
            StackError: `docker_failed`.
        """
        await self._down("--volumes")
        self._file.unlink(missing_ok=True)

    async def servers(self) -> tuple[ServerStatus, ...]:
        """Ask each server whether it answers."""
        project = self._project()
        if project is None:
            return ()
        addresses = project.addresses
        kafka, postgres = addresses.kafka_bootstrap_servers, f"127.0.0.1:{project.postgres_port}"
        brokers, answers = await asyncio.gather(live_brokers(kafka), accepts_queries(addresses.postgres_dsn))
        return (
            ServerStatus("kafka", kafka, pid=None, log=None, answers=bool(brokers)),
            ServerStatus("postgres", postgres, pid=None, log=None, answers=answers),
        )

    async def _down(self, *options: str) -> None:
        project = self._project()
        if project is None:
            return
        down = await asyncio.to_thread(_compose, project, "down", *options)
        if down.returncode != 0:
            raise StackError("docker_failed", f"Docker could not end the stack: {_last_line(down.stderr)}")

    def _project(self) -> _Project | None:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Project)
        except FileNotFoundError:
            return None


def daemon_answers() -> bool:
    """Tell whether there is a Docker daemon that lets us in."""
    return shutil.which("docker") is not None and _succeeds("version", "--format", "{{.Server.Version}}")


def _succeeds(*arguments: str) -> bool:
    return _run(["docker", *arguments]).returncode == 0


def _compose(project: _Project, *arguments: str, heap_mb: int = 0) -> subprocess.CompletedProcess[str]:
    command = ["docker", "compose", "-f", str(COMPOSE_FILE), "-p", project.name, *arguments]
    return _run(command, project.variables(heap_mb))


def _run(command: list[str], variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **(variables or {})}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)  # noqa: S603


def _last_line(text: str) -> str:
    lines = text.strip().splitlines() or ["it gave no reason"]
    return lines[-1].rstrip(".") + "."
