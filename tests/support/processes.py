"""The project's own commands as processes: started, watched by their log, signalled, and ended."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from metering.dev.conditions import until
from metering.dev.processes import freeze

METERING: Final = Path(sys.executable).with_name("metering")
_LAST_LINES: Final = 30


class CommandProcess:
    """One `metering …` process; its log (standard error, JSON lines) and its output are files."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        self.name = " ".join(["metering", *arguments])
        self.log = directory / "log.jsonl"
        self.output = directory / "output"
        with self.log.open("wb") as log, self.output.open("wb") as output:
            self._process = subprocess.Popen(
                [METERING, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                env=dict(environment),
                cwd=directory,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended (negative: by that signal); None while it runs."""
        return self._process.poll()

    def events(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The log lines so far whose `event` is this one and whose fields have these values."""
        wanted = {"event": event, **fields}
        return [line for line in self._lines() if wanted.items() <= line.items()]

    async def logged(
        self, event: str, *, count: int = 1, deadline_s: float = 30, **fields: Any
    ) -> dict[str, Any]:
        """Wait for the `count`-th such log line and give it.

        Fails at once when the process ends before, with the end of its log.
        """

        async def has_logged() -> bool:
            return len(self.events(event, **fields)) >= count

        running = True

        def still_running() -> bool:
            # The lines written just before the end are still looked at once.
            nonlocal running
            before, running = running, self.exit_code is None
            return before

        found = await until(has_logged, deadline_s=deadline_s, while_=still_running)
        assert found, f"{self.name} has not logged {event!r} {fields}{self._account()}"
        return self.events(event, **fields)[count - 1]

    async def ended(self, *, deadline_s: float = 30) -> int:
        """Wait until the process has ended by itself, and give its exit code."""

        async def has_ended() -> bool:
            return self.exit_code is not None

        assert await until(has_ended, deadline_s=deadline_s), f"{self.name} does not end{self._account()}"
        code = self.exit_code
        assert code is not None
        return code

    async def succeeded(self, *, deadline_s: float = 30) -> str:
        """Wait for exit code 0 and give what the process printed."""
        code = await self.ended(deadline_s=deadline_s)
        assert code == 0, f"{self.name} was to succeed{self._account()}"
        return self.output.read_text()

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def freeze(self) -> None:
        """Stop it in its tracks (SIGSTOP); it has stopped when this returns."""
        freeze(psutil.Process(self.pid))

    def thaw(self) -> None:
        self.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once (SIGKILL), frozen or not; does nothing when it has ended already."""
        self._process.kill()
        self._process.wait()

    def _lines(self) -> list[dict[str, Any]]:
        lines = []
        for text in self.log.read_text(errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue  # a traceback, or the last line half written
            if isinstance(line, dict):
                lines.append(line)
        return lines

    def _account(self) -> str:
        last = "\n".join(self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
        printed = "\n".join(self.output.read_text(errors="replace").splitlines()[-_LAST_LINES:])
        return f" (exit code {self.exit_code}); its log ends:\n{last}\nand its output:\n{printed}"


class Commands:
    """Starts `metering …` processes for one test, with that test's settings."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self._directory = directory
        self._started: list[CommandProcess] = []

    def start(self, *arguments: str, **environment: str) -> CommandProcess:
        """Start `metering <arguments>`; `environment` adds to the test's settings for this process alone."""
        directory = self._directory / f"{len(self._started):02}-{arguments[0]}"
        directory.mkdir()
        process = CommandProcess(arguments, {**self.environment, **environment}, directory)
        self._started.append(process)
        return process

    async def run(self, *arguments: str, deadline_s: float = 60, **environment: str) -> str:
        """Run `metering <arguments>` to its end, which must be exit code 0; give what it printed."""
        return await self.start(*arguments, **environment).succeeded(deadline_s=deadline_s)

    def kill_all(self) -> None:
        """End what still runs of the processes started here, and no others."""
        for process in self._started:
            process.kill()


def plain_environment() -> dict[str, str]:
    """This process's environment without any METERING_ setting, so that only the test's own count."""
    return {name: value for name, value in os.environ.items() if not name.startswith("METERING_")}
