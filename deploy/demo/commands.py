"""The product's public commands, run as anybody would run them, and what they say."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console

METERING: Final = Path(sys.executable).with_name("metering")

console: Final = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 110)


class Failed(Exception):  # noqa: N818 - an outcome
    """The demo ends here; the text says why."""


class Commands:
    """Runs `metering …` with the settings of one run."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment

    def do(self, *command: str) -> None:
        """Run a command that speaks for itself."""
        show(command)
        subprocess.run([METERING, *command], env=self.environment, check=True)

    def ask(self, *command: str) -> list[Any]:
        """What a command says to a machine."""
        show(command)
        return self.look(*command)

    def look(self, *command: str, exits: Iterable[int] = (0,)) -> list[Any]:
        """What a command says to a machine, without a word about it."""
        done = subprocess.run(
            [METERING, *command, "--json"], env=self.environment, stdout=subprocess.PIPE, check=False
        )
        if done.returncode not in exits:
            done.check_returncode()
        return [json.loads(line) for line in done.stdout.splitlines()]


def show(command: Iterable[str], remark: str = "") -> None:
    """Show a command as one would type it."""
    console.print(f"$ metering {' '.join(command)}{remark}", style="bold", markup=False)
