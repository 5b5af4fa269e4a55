"""A system that is well, a Prometheus that looks at it, and the table of what was seen."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from drills.drill import Drill
from drills.rehearsal import Outcome, Rehearsal
from drills.system import System
from support.processes import Commands
from support.prometheus import prometheus
from support.proxy import Proxy

from metering.dev.conditions import until
from metering.dev.kafka.server import KafkaServer
from metering.dev.postgres.server import PostgresServer

OUTCOMES = pytest.StashKey[list[Outcome]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(1800))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    outcomes = config.stash[OUTCOMES]
    if not outcomes:
        return
    rows = [("fault", "alert", "s to fire", "s to clear", "consequences")]
    rows += [
        (one.fault, one.alert, _seconds(one.fired_s), _seconds(one.cleared_s), " ".join(one.consequences))
        for one in outcomes
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    terminalreporter.section("drills")
    for row in rows:
        terminalreporter.write_line(
            " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _seconds(duration_s: float | None) -> str:
    return "-" if duration_s is None else f"{duration_s:.0f}"


@pytest.fixture
def drill(request: pytest.FixtureRequest) -> Drill:
    """What this test says of its fault."""
    marker = request.node.get_closest_marker("drill")
    assert marker is not None, "a drill has its `Drill` as its marker"
    (one,) = marker.args
    assert isinstance(one, Drill)
    return one


@pytest.fixture
def outcome(request: pytest.FixtureRequest, drill: Drill) -> Iterator[Outcome]:
    """The table's row of this drill: named as the test is."""
    one = Outcome(request.node.name.removeprefix("test_").replace("_", " "), drill.alert)
    yield one
    request.config.stash[OUTCOMES].append(one)


@pytest_asyncio.fixture
async def system(
    commands: Commands, tmp_path: Path, own_kafka: KafkaServer, own_postgres: PostgresServer
) -> AsyncIterator[System]:
    """Everything set up, all duties done, usage flowing; workers are the drill's to start."""
    proxy = Proxy(own_postgres.port)
    await proxy.listen()
    system = System(commands, tmp_path, own_kafka, own_postgres, proxy)
    try:
        await system.set_up()
        system.start("observer", "closer", "rater", "auditor", "api")
        async with system.flowing(system.events):
            yield system
    finally:
        await system.end_storm()
        commands.kill_all()
        await until(lambda: _none(proxy), deadline_s=10)
        await proxy.close()


async def _none(proxy: Proxy) -> bool:
    return proxy.connections == 0


@pytest_asyncio.fixture
async def rehearsal(
    drill: Drill, system: System, tmp_path: Path, outcome: Outcome
) -> AsyncIterator[Rehearsal]:
    if shutil.which("prometheus") is None:
        pytest.fail("A drill needs `prometheus` on the PATH (Debian: apt-get install prometheus).")
    folder = tmp_path / "prometheus"
    folder.mkdir()
    async with prometheus(folder, system.targets) as server:
        yield Rehearsal(drill, system, server, outcome)
