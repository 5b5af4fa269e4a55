"""The project's own commands as processes: run to their end, or watched while they work."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil

METERING: Final = Path(sys.executable).with_name("metering")
DIRECTORY: Final = "/"
"""Where every process runs: a `metering.toml` of the checkout must not change what is measured."""

SAMPLE_INTERVAL_S: Final = 0.05
_LAST_LINES: Final = 30

Environment = Mapping[str, str]


class Sample(NamedTuple):
    """What a process held and had used at one time."""

    at_s: float  # since the Unix epoch
    rss_bytes: int
    cpu_seconds: float  # user and system


def settings(**values: str) -> Environment:
    """This process's environment with these METERING_ settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("METERING_")}
    return kept | {f"METERING_{name.upper()}": value for name, value in values.items()}


def run(environment: Environment, *arguments: str) -> str:
    """Run `metering <arguments>` to its end and give what it printed.

    Raises:
        RuntimeError: its exit code was not 0.
    """
    return run_program(environment, METERING, *arguments)


def run_program(environment: Environment, *command: str | Path) -> str:
    """Run a program to its end and give what it printed.

    Raises:
        RuntimeError: its exit code was not 0.
    """
    ended = subprocess.run(
        command, env=dict(environment), cwd=DIRECTORY, check=False, capture_output=True, text=True
    )
    if ended.returncode:
        said = "\n".join((ended.stdout + ended.stderr).splitlines()[-_LAST_LINES:])
        msg = f"{' '.join(map(str, command))} ended with {ended.returncode}:\n{said}"
        raise RuntimeError(msg)
    return ended.stdout


class Running:
    """A `metering` process whose log is kept and whose memory and time are sampled."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process = process
        self._log = log
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.samples: list[Sample] = []
        self._thread.start()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines so far with this `event`; `at_s` is when it was logged."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [line | {"at_s": _epoch_s(line["timestamp"])} for line in lines if line["event"] == name]

    def wait_for(self, name: str, deadline_s: float = 60) -> dict[str, Any]:
        """The first log line with this `event`, once it is there.

        Raises:
            RuntimeError: the process ends before, or does not log it in time.
        """
        end_s = time.monotonic() + deadline_s
        while not (found := self.events(name)):
            if self._process.poll() is not None or time.monotonic() > end_s:
                raise RuntimeError(f"{self._log.stem} has not logged {name}{self._account()}")
            time.sleep(SAMPLE_INTERVAL_S)
        return found[0]

    @property
    def has_ended(self) -> bool:
        """Whether it is over, well or not."""
        return self._process.poll() is not None

    def succeeded(self) -> None:
        """Wait for exit code 0.

        Raises:
            RuntimeError: it was another.
        """
        if self._process.wait():
            raise RuntimeError(f"{self._log.stem} ended with {self._process.returncode}{self._account()}")

    def stop(self) -> None:
        """Let it drain."""
        self._process.send_signal(signal.SIGTERM)
        self.succeeded()

    def sample_at(self, at_s: float) -> Sample:
        """The first sample not before this time, or else the last."""
        place = bisect_left(self.samples, at_s, key=lambda sample: sample.at_s)
        return self.samples[min(place, len(self.samples) - 1)]

    def close(self) -> None:
        """End it at once if it still runs."""
        self._process.kill()
        self._process.wait()
        self._stopped.set()
        self._thread.join()

    def _sample(self) -> None:
        process = psutil.Process(self._process.pid)
        while not self._stopped.wait(SAMPLE_INTERVAL_S):
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    rss_bytes = process.memory_info().rss
            except psutil.NoSuchProcess:
                return
            if rss_bytes:  # 0 of one that has ended and is not waited for yet
                self.samples.append(Sample(time.time(), rss_bytes, times.user + times.system))

    def _account(self) -> str:
        last = "\n".join(self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
        return f"; its log ends:\n{last}"


@contextmanager
def running(environment: Environment, home: Path, *arguments: str) -> Iterator[Running]:
    """Start `metering <arguments>`; it ends with the block at the latest."""
    log = home / f"{arguments[0]}.jsonl"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [METERING, *arguments],
            env=dict(environment),
            cwd=DIRECTORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    started = Running(process, log)
    try:
        yield started
    finally:
        started.close()


def _epoch_s(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
