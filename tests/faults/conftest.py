"""A scenario for each test; the seed of a test that failed is in its output."""

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.scenario import Scenario
from support.processes import Commands
from support.topics import unique_name

ScenarioFactory = Callable[..., Scenario]


@pytest.fixture
def seed() -> int:
    """FAULTS_SEED, if set, repeats a run's random choices."""
    seed = int(os.environ.get("FAULTS_SEED") or secrets.randbits(32))
    print(f"FAULTS_SEED={seed}")  # noqa: T201 - shown when the test fails
    return seed


@pytest.fixture
def scenario_on(commands: Commands, tmp_path: Path, seed: int) -> Iterator[ScenarioFactory]:
    """`scenario_on(bootstrap_servers, dsn, partitions=…)`: on servers of the test's choice."""
    made: list[Scenario] = []

    def make(bootstrap_servers: str, dsn: str, **given: Any) -> Scenario:
        made.append(Scenario(commands, tmp_path, bootstrap_servers, dsn, unique_name(), seed, **given))
        return made[-1]

    yield make
    for scenario in made:
        scenario.close()


@pytest.fixture
def scenario(scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str) -> Scenario:
    """On the servers that most tests share."""
    return scenario_on(kafka_bootstrap, database)
