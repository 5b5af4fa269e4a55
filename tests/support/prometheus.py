"""A real Prometheus with the configuration that is shipped, which scrapes this test's processes."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import pytest

from metering.dev.conditions import until
from metering.dev.ports import free_ports

SHIPPED: Final = Path(__file__).parents[2] / "deploy" / "observability"
Targets = Mapping[str, Sequence[int]]
"""Admin ports at 127.0.0.1, by kind of process."""

_READY_S: Final = 60


class Sample(NamedTuple):
    """One series of an answer, and its value at the time asked for."""

    labels: Mapping[str, str]
    value: float


class QueryRefusedError(Exception):
    """Prometheus does not understand a query."""


class Prometheus:
    """A server that runs, and what it can be asked."""

    def __init__(self, folder: Path, port: int) -> None:
        self.log = folder / "prometheus.log"
        self.port = port
        self._targets = folder / "targets" / "test.yaml"

    def aim(self, targets: Targets) -> None:
        """Scrape these from now on, and no others."""
        groups = [
            {"targets": [f"127.0.0.1:{port}" for port in ports], "labels": {"process": process}}
            for process, ports in targets.items()
        ]
        written = self._targets.with_suffix(".new")
        written.write_text(json.dumps(groups))
        written.replace(self._targets)  # at once, for Prometheus watches it

    async def query(self, expression: str) -> list[Sample]:
        """Ask for the value of an expression now: a sample of each series, or one without labels.

        Raises:
            QueryRefusedError: the expression is none, or cannot be computed.
        """
        answer = await self.get("/api/v1/query", query=expression)
        if answer["resultType"] == "scalar":
            return [Sample({}, float(answer["result"][1]))]
        return [Sample(one["metric"], float(one["value"][1])) for one in answer["result"]]

    async def alerts(self) -> list[dict[str, Any]]:
        """Tell the alerts that are pending or firing, as `/api/v1/alerts` does."""
        alerts: list[dict[str, Any]] = (await self.get("/api/v1/alerts"))["alerts"]
        return alerts

    async def scrapes(self, targets: Targets) -> bool:
        """Tell whether each of these, and no other, was scraped well the last time."""
        wanted = {f"127.0.0.1:{port}" for ports in targets.values() for port in ports}
        up = {one.labels["instance"]: one.value for one in await self.query('up{job="metering"}')}
        return up == dict.fromkeys(wanted, 1)

    async def get(self, path: str, **parameters: str) -> Any:
        """Give the `data` of one answer of the HTTP API."""
        status, answer = await asyncio.to_thread(self._get, f"{path}?{urlencode(parameters)}")
        if status >= 400:
            raise QueryRefusedError(answer)
        return json.loads(answer)["data"]

    async def is_ready(self) -> bool:
        try:
            status, _ = await asyncio.to_thread(self._get, "/-/ready")
        except OSError:
            return False
        return status == 200

    def _get(self, path: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


@asynccontextmanager
async def prometheus(folder: Path, targets: Targets) -> AsyncIterator[Prometheus]:
    """Run one in `folder` until the block ends, with the rules that are shipped."""
    command = command_or_skip("prometheus")
    folder.mkdir(exist_ok=True)
    shutil.copy(SHIPPED / "prometheus.yml", folder)
    if (SHIPPED / "rules").exists():
        shutil.copytree(SHIPPED / "rules", folder / "rules")
    (folder / "targets").mkdir()
    (port,) = free_ports(1)
    server = Prometheus(folder, port)
    server.aim(targets)
    process = _started(command, folder, server)
    try:
        ready = await until(server.is_ready, deadline_s=_READY_S, while_=lambda: process.poll() is None)
        assert ready, f"Prometheus does not start:\n{server.log.read_text(errors='replace')}"
        yield server
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _started(command: str, folder: Path, server: Prometheus) -> subprocess.Popen[bytes]:
    arguments = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": f"127.0.0.1:{server.port}",
    }
    with server.log.open("wb") as log:
        return subprocess.Popen(
            [command, *(f"--{name}={value}" for name, value in arguments.items())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )


def command_or_skip(name: str) -> str:
    """Find one of Prometheus' commands; without it a test fails where `CI` is set, and is skipped else."""
    found = shutil.which(name)
    if found is not None:
        return found
    sentence = (
        f"There is no `{name}` on the PATH (Debian: apt-get install prometheus prometheus-alertmanager)."
    )
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)
