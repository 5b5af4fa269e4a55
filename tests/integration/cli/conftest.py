"""What the command's tests share: a topic and a database of their own, and the command itself."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from integration.cli.fixtures import Metering, Ran
from support.processes import Commands
from support.topics import admin_client, delete_topics, unique_name

from metering.cli.app import main


@pytest_asyncio.fixture
async def settings(
    monkeypatch: pytest.MonkeyPatch, kafka_bootstrap: str, database: str, tmp_path: Path, commands: Commands
) -> AsyncIterator[dict[str, str]]:
    """The environment of this test's commands; its topic is removed afterwards if one was made."""
    name = unique_name()
    environment = {
        "METERING_KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "METERING_POSTGRES_DSN": database,
        "METERING_TOPIC": name,
        "METERING_CONSUMER_GROUP": f"group-{name}",
        "METERING_FLUSH_INTERVAL_S": "0.1",
    }
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    commands.environment.update(environment)
    monkeypatch.chdir(tmp_path)
    yield environment
    async with admin_client(kafka_bootstrap) as admin:
        exists = name in await admin.list_topics()
    if exists:
        await delete_topics(kafka_bootstrap, [name])


@pytest.fixture
def metering(settings: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Metering:
    """`await metering("topics", "apply")`: run one command to its end, in a thread of this process."""
    assert settings

    async def run(*arguments: str, exits: int = 0) -> Ran:
        capsys.readouterr()
        code = await asyncio.to_thread(main, arguments)
        ran = Ran(*capsys.readouterr())
        assert code == exits, f"metering {' '.join(arguments)} exited {code}\n{ran.out}{ran.err}"
        return ran

    return run
