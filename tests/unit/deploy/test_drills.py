"""Each direct alert has a drill, and what drills say of alerts, checks and pages is there."""

import inspect
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest
from drills.drill import Drill
from support import runbooks
from support.rules import ALERTS_BY_NAME, ROOT

from metering.doctor.run import CHECKS

FOLDER: Final = ROOT / "tests" / "drills"


def drills_of(file: Path) -> dict[str, list[Drill]]:
    """What the tests of a file have as their marker."""
    tests = inspect.getmembers(import_module(f"drills.{file.stem}"), inspect.isfunction)
    return {name: drills_on(test) for name, test in tests if name.startswith("test_")}


def drills_on(test: Any) -> list[Drill]:
    return [mark.args[0] for mark in getattr(test, "pytestmark", []) if mark.name == "drill"]


DRILLS = dict(chain.from_iterable(drills_of(file).items() for file in sorted(FOLDER.glob("test_*.py"))))


def test_each_direct_alert_is_some_drills_own() -> None:
    drilled = {drill.alert for drills in DRILLS.values() for drill in drills}
    assert {alert.name for alert in ALERTS_BY_NAME.values() if alert.is_direct} <= drilled


@pytest.mark.parametrize("name", sorted(DRILLS))
def test_a_drill_speaks_of_what_there_is(name: str) -> None:
    (drill,) = DRILLS[name]
    assert {drill.alert, *drill.consequences} <= ALERTS_BY_NAME.keys()
    assert set(drill.doctor) <= {check.code for check in CHECKS}
    for beginning in drill.act:
        assert runbooks.command(drill.page, beginning)
