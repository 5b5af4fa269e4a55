"""Processes under test are watched by their log, and none outlives its test."""

import signal
import sys
from pathlib import Path

import pytest
from support.processes import Commands

LOGS = 'import json, sys; print(json.dumps({"event": "%s", "n": %d}), file=sys.stderr, flush=True); '
WAITS = "import signal; signal.pause(); "


@pytest.fixture
def python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Commands:
    """Starts Python programs the way that tests start `metering`."""
    monkeypatch.setattr("support.processes.METERING", sys.executable)
    return Commands(tmp_path, {"SETTING": "of the test"})


async def test_waits_for_a_log_line_by_event_and_fields(python: Commands) -> None:
    process = python.start("-c", LOGS % ("flushed", 1) + LOGS % ("flushed", 2) + WAITS)
    assert await process.logged("flushed", n=2) == {"event": "flushed", "n": 2}
    assert len(process.events("flushed")) == 2
    assert process.exit_code is None
    python.kill_all()
    assert process.exit_code == -signal.SIGKILL


async def test_a_log_line_that_never_comes_fails_with_the_end_of_the_log(python: Commands) -> None:
    process = python.start("-c", LOGS % ("something else", 1))
    with pytest.raises(AssertionError, match="something else"):
        await process.logged("flushed")


async def test_a_log_line_written_just_before_the_end_is_seen(python: Commands) -> None:
    process = python.start("-c", LOGS % ("flushed", 1))
    assert await process.ended() == 0
    assert await process.logged("flushed") == {"event": "flushed", "n": 1}


async def test_gives_what_was_printed_with_the_settings_of_the_test(python: Commands) -> None:
    program = "import os; print(os.environ['SETTING'], os.environ['ANOTHER'])"
    assert await python.run("-c", program, ANOTHER="of the process") == "of the test of the process\n"


async def test_an_exit_code_other_than_0_is_no_success(python: Commands) -> None:
    process = python.start("-c", "raise SystemExit(3)")
    assert await process.ended() == 3
    with pytest.raises(AssertionError, match="exit code 3"):
        await process.succeeded()


async def test_a_frozen_process_can_be_killed(python: Commands) -> None:
    process = python.start("-c", LOGS % ("up", 1) + WAITS)
    await process.logged("up")
    process.freeze()
    process.kill()
    assert process.exit_code == -signal.SIGKILL
