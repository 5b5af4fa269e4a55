"""The configurations that are shipped are valid, and Prometheus scrapes what its target files name."""

import subprocess
from pathlib import Path

import pytest
from support.prometheus import SHIPPED, QueryRefusedError, command_or_skip, prometheus

from metering.dev.conditions import until


@pytest.mark.parametrize(
    "command",
    [("promtool", "check", "config", "prometheus.yml"), ("amtool", "check-config", "alertmanager.yml")],
)
def test_the_configuration_is_valid(command: tuple[str, ...]) -> None:
    found = command_or_skip(command[0])
    checked = subprocess.run([found, *command[1:]], cwd=SHIPPED, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_targets_are_scraped_once_they_are_named(tmp_path: Path) -> None:
    async with prometheus(tmp_path, {}) as server:
        with pytest.raises(QueryRefusedError, match="parse error"):
            await server.query("sum by (")
        assert [one.value for one in await server.query("vector(7)")] == [7]
        targets = {"itself": [server.port]}
        server.aim(targets)

        async def is_scraped() -> bool:
            return await server.scrapes(targets)

        assert await until(is_scraped, deadline_s=60)
        (up,) = await server.query("up")
        assert (up.labels["job"], up.labels["process"]) == ("metering", "itself")

        async def the_rules_look() -> bool:
            return "MeteringObserverDead" in {one["labels"]["alertname"] for one in await server.alerts()}

        assert await until(the_rules_look, deadline_s=60), "no observer is among the targets"
