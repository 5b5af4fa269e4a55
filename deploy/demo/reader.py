"""What a billing engine does: it reads the feed of rated totals over HTTP, and their lines over SQL."""

import asyncio
import json
import socket
import subprocess
import time
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import asyncpg
from commands import METERING, Commands, Failed, show

from metering.settings import load_settings

HOST: Final = "127.0.0.1"
SCOPES: Final = "rated:read,feed:read"
PATIENCE_S: Final = 30.0


class Reader:
    """A running `metering api`, and a token for it; within the `with` block."""

    def __init__(self, commands: Commands, log: Path) -> None:
        self._commands = commands
        self._log = log
        self._port = _free_port()
        self._token = ""

    def __enter__(self) -> Self:
        """Make a token, start the API, and wait until it is ready."""
        command = ("token", "create", "billing-engine", "--scopes", SCOPES, "--all-customers")
        self._token = self._commands.ask(*command)[0]["token"]
        show(["api"], "    # in the background")
        settings = {"METERING_API_PORT": str(self._port)}
        with self._log.open("wb") as log:
            environment = {**self._commands.environment, **settings}
            self._api = subprocess.Popen([METERING, "api"], env=environment, stderr=log)
        deadline_s = time.monotonic() + PATIENCE_S
        while not self._is_ready():
            if self._api.poll() is not None or time.monotonic() > deadline_s:
                self._api.kill()
                raise Failed(f"`metering api` is not ready: see {self._log}.")
            time.sleep(0.1)
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        """End the API."""
        self._api.terminate()
        self._api.wait()

    def news(self) -> list[dict[str, Any]]:
        """Every version of every rated total, in the feed's order, page by page."""
        found: list[dict[str, Any]] = []
        after = ""
        while page := (answer := self._get(f"/v1/rated-totals?limit=50{after}"))["data"]:
            found += page
            after = f"&after={answer['next_cursor']}"
        return found

    def documents(self) -> dict[str, dict[str, Any]]:
        """Every version line by line, over SQL, by the names that the feed has for them."""
        rows = asyncio.run(
            self._read("SELECT subscription, period_start, version, document FROM rated_total")
        )
        return {
            f"{name}/{start:%Y-%m-%dT%H:%M:%SZ}/{version}": json.loads(document)
            for name, start, version, document in rows
        }

    async def _read(self, statement: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(load_settings().postgres_dsn.get_secret_value())
        try:
            schema = self._commands.environment["METERING_POSTGRES_SCHEMA"]
            await connection.execute(f"SET ROLE billing_reader; SET search_path TO {schema}_billing")
            rows: list[asyncpg.Record] = await connection.fetch(statement)
            return rows
        finally:
            await connection.close()

    def _is_ready(self) -> bool:
        try:
            self._get("/readyz")
        except (OSError, Failed):
            return False
        return True

    def _get(self, path: str) -> dict[str, Any]:
        with closing(HTTPConnection(HOST, self._port)) as connection:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
            answer = connection.getresponse()
            text = answer.read()
        if answer.status != HTTPStatus.OK:
            raise Failed(f"GET {path}: {text.decode()}")
        document: dict[str, Any] = json.loads(text)
        return document


def _free_port() -> int:
    with closing(socket.create_server((HOST, 0))) as listening:
        port: int = listening.getsockname()[1]
        return port
