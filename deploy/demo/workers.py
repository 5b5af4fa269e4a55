"""Worker processes, and how much each has counted by its own log."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import IO, Self


class Workers:
    """As many processes as there are names; none outlives the `with` block."""

    def __init__(
        self, command: Sequence[str | Path], names: Sequence[str], environment: Mapping[str, str], logs: Path
    ) -> None:
        self._command = command
        self._environment = environment
        self._logs = logs
        self._changed = Condition()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ended: set[str] = set()
        self.counted = dict.fromkeys(names, 0)
        """Records by worker."""

    def __enter__(self) -> Self:
        """Start them."""
        for name in self.counted:
            environment = {**self._environment, "METERING_INSTANCE": name, "METERING_LOG_FORMAT": "json"}
            process = subprocess.Popen(self._command, env=environment, stderr=subprocess.PIPE)
            self._processes[name] = process
            Thread(target=self._follow, args=(name, process.stderr), daemon=True).start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        """End those that still run."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def until_counted(self, records: int) -> bool:
        """Wait until they have counted so many together; False if one ends before."""
        with self._changed:
            self._changed.wait_for(lambda: sum(self.counted.values()) >= records or self._ended)
            return not self._ended

    def kill(self, name: str) -> None:
        """Kill a worker with -9."""
        self._processes[name].kill()

    def exit_code(self, name: str, timeout_s: float) -> int:
        """Wait until a worker has ended.

        Raises:
            subprocess.TimeoutExpired: it does not.
        """
        return self._processes[name].wait(timeout_s)

    def _follow(self, name: str, log: IO[bytes]) -> None:
        """Keep a worker's log, and add up its flushes."""
        with (self._logs / f"{name}.log").open("wb") as kept:
            for line in log:
                kept.write(line)
                # A killed worker's last line may be cut short.
                said = json.loads(line) if line.startswith(b"{") and line.endswith(b"}\n") else {}
                if said.get("event") == "flushed":
                    with self._changed:
                        self.counted[name] += said["records"]
                        self._changed.notify_all()
        with self._changed:
            self._ended.add(name)
            self._changed.notify_all()
