"""The walk of the README, from a meter to an amount that is final: its own commands, and nothing else."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from support.processes import Commands

README: Final = Path(__file__).parents[3] / "README.md"
PORT: Final = "8600"
DEADLINE_S: Final = 300


def walk() -> str:
    """The shell blocks of the section, without the first: that one makes what this test has already."""
    text = README.read_text()
    section = text[text.index("## Your own catalog and events") : text.index("## Settings")]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return "".join(blocks[1:])


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return str(listening.getsockname()[1])


def run(script: str, environment: Mapping[str, str]) -> str:
    """Run the walk in the test's directory, in a session of its own so that nothing of it stays behind."""
    with Path("out").open("w") as out, Path("err").open("w") as err:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            env=environment,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    try:
        code = process.wait(DEADLINE_S)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    printed = Path("out").read_text()
    assert code == 0, f"{code}\n{printed}\n{Path('err').read_text()}"
    return printed


async def test_the_walk_of_the_readme_ends_with_the_right_amount(
    settings: dict[str, str], commands: Commands
) -> None:
    script, port = walk(), free_port()
    assert PORT in script
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**commands.environment, **settings, "PATH": path, "METERING_API_PORT": port}
    out = await asyncio.to_thread(run, script.replace(f":{PORT}/", f":{port}/"), environment)

    assert "acme 2026-01-01 10:00:00+00:00 1 5.46 EUR" in out.splitlines()
    (news,) = (json.loads(line) for line in out.splitlines() if line.startswith("{"))
    (total,) = news["data"]
    assert total["id"] == "acme-storage/2026-01-01T10:00:00Z/1"
    assert (total["customer"], total["amount"], total["unrounded_amount"]) == ("acme", "5.46", "5.456")
    assert "4.86 EUR (unrounded 4.863). Version 2, 0.6 less than the one before" in out
