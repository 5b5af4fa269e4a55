"""`metering api` as a process: what it has confirmed survives a kill, and it outlives its database."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest_asyncio
import requests
from support.processes import CommandProcess, Commands

from aggregator.access import Scope
from aggregator.store import audit, prices, tokens
from aggregator.store.connection import Connection, StoreOptions, connect
from metering.dev.conditions import until
from metering.dev.ports import free_ports

PLAN: dict[str, Any] = {
    "currency": "USD",
    "rounding": {"places": 2},
    "charges": [{"name": "base", "flat": 20}],
}
KILLS = 3


@pytest_asyncio.fixture
async def owner(settings: dict[str, str], commands: Commands) -> AsyncIterator[Connection]:
    """A connection to a migrated database."""
    await commands.run("migrate")
    connection = await connect(settings["METERING_POSTGRES_DSN"], StoreOptions())
    yield connection
    await connection.close()


async def token(owner: Connection) -> str:
    issued = await tokens.create(owner, "tests", frozenset(Scope), None, lifetime_us=None, who="tests")
    return issued.text


async def started(commands: Commands, port: int) -> CommandProcess:
    process = commands.start("api", METERING_API_PORT=str(port))
    await process.logged("api_listening")
    return process


async def ask(port: int, method: str, path: str, text: str, body: Any = None) -> requests.Response:
    return await asyncio.to_thread(
        requests.request,
        method,
        f"http://127.0.0.1:{port}{path}",
        headers={"Authorization": f"Bearer {text}"},
        json=body,
        timeout=30,
    )


async def test_what_was_confirmed_is_there_after_a_kill_and_nothing_is_half_there(
    owner: Connection, commands: Commands
) -> None:
    text, port, numbers = await token(owner), free_ports(1)[0], count()
    confirmed: set[str] = set()

    async def write() -> None:
        while True:
            name = f"plan-{next(numbers)}"
            try:
                answer = await ask(port, "PUT", f"/v1/plans/{name}", text, PLAN)
            except requests.ConnectionError:
                return
            assert answer.status_code == 201, answer.text
            confirmed.add(name)

    for kill in range(KILLS):
        process = await started(commands, port)
        writers = [asyncio.create_task(write()) for _ in range(3)]

        async def enough(goal: int = 5 * (kill + 1)) -> bool:
            return len(confirmed) >= goal

        assert await until(enough, deadline_s=30)
        process.kill()
        await asyncio.gather(*writers)

    stored = await prices.plans(owner)
    assert confirmed <= stored.keys()
    assert len(stored) - len(confirmed) <= 3 * KILLS  # those whose answer the kill took away
    entries = await audit.entries(owner, action="catalog.apply", limit=1000)
    assert len(entries) == len(stored)
    await started(commands, port)
    listed = (await ask(port, "GET", "/v1/plans", text)).json()["data"]
    assert {one["plan"] for one in listed} == stored.keys()


async def test_it_answers_again_when_its_database_is_back(owner: Connection, commands: Commands) -> None:
    text, port = await token(owner), free_ports(1)[0]
    process = await started(commands, port)
    assert (await ask(port, "PUT", "/v1/plans/pro", text, PLAN)).status_code == 201
    for _ in range(3):
        ended = await owner.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert ended > 0

        async def answers() -> bool:
            answer = await ask(port, "GET", "/v1/plans/pro", text)
            assert answer.status_code in {200, 503}, answer.text
            if answer.status_code == 200:
                return True
            assert answer.json()["code"] == "database_unavailable"
            assert answer.headers["retry-after"]
            return False

        assert await until(answers, deadline_s=30)
    assert process.exit_code is None
