"""A server as an operating-system process that outlives the command which started it."""

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import msgspec
import psutil

from metering.dev.accounts import Account, running_as
from metering.dev.conditions import POLL_S, until
from metering.dev.errors import StackError

_STOPPED_POLL_S: Final = 0.001
_SAME_START_S: Final = 2.0
"""The boot time that start times are counted from may shift by a second when the clock is set."""

_own_children: Final[dict[int, psutil.Popen]] = {}
"""Those started by this very process, which has to reap them however they are found again."""


class Identity(msgspec.Struct, frozen=True):
    """A pid together with its start time, so that a recycled pid is never taken for the server."""

    pid: int
    started_s: float


class ServerProcess:
    """One running server, found again by the identity kept in a file beside its data."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process

    @classmethod
    def spawn(
        cls,
        command: Sequence[str],
        *,
        log: Path,
        identity_file: Path,
        environment: Mapping[str, str] | None = None,
        account: Account | None = None,
    ) -> Self:
        """Start `command` in a session of its own, its output appended to `log`."""
        with log.open("ab") as output:
            process = psutil.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=None if environment is None else dict(environment),
                cwd="/",
                **running_as(account),
            )
        identity = Identity(pid=process.pid, started_s=process.create_time())
        identity_file.write_bytes(msgspec.json.encode(identity))
        _own_children[process.pid] = process
        return cls(process)

    @classmethod
    def find(cls, identity_file: Path) -> Self | None:
        """Find the process that `spawn` noted in `identity_file`, if it still runs."""
        try:
            identity = msgspec.json.decode(identity_file.read_bytes(), type=Identity)
            process = _own_children.get(identity.pid) or psutil.Process(identity.pid)
            started_s = process.create_time()
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None
        found = cls(process)
        return found if abs(started_s - identity.started_s) < _SAME_START_S and found.alive() else None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Tell whether it still runs; an own child that has ended is reaped."""
        if not isinstance(self._process, psutil.Popen):
            return not _has_ended(self._process)  # another's child may wait long for its parent to reap it
        if self._process.poll() is None:
            return True
        _own_children.pop(self.pid, None)
        return False

    def send_signal(self, number: signal.Signals) -> None:
        """Send one signal to the server itself; one that has ended takes none."""
        _signal(self._process, number)

    def freeze(self) -> None:
        """Stop the server and all of its children in their tracks (SIGSTOP)."""
        freeze(self._process)  # first, so that it starts no more children
        for child in self._children():
            freeze(child)

    def thaw(self) -> None:
        """Let the server and its children go on (SIGCONT)."""
        for child in self._children():
            _signal(child, signal.SIGCONT)
        self.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the server and its children at once (SIGKILL), as a crash would."""
        self.freeze()
        for child in self._children():
            _signal(child, signal.SIGKILL)
        self.send_signal(signal.SIGKILL)
        while self.alive():
            time.sleep(POLL_S)

    async def ended(self, deadline_s: float) -> bool:
        """Wait until the server has ended; False when it has not after `deadline_s`."""

        async def has_ended() -> bool:
            return not self.alive()

        return await until(has_ended, deadline_s=deadline_s)

    def _children(self) -> list[psutil.Process]:
        try:
            return self._process.children(recursive=True)
        except psutil.NoSuchProcess:
            return []


def freeze(process: psutil.Process) -> None:
    """Send SIGSTOP and wait until it has taken effect: the other threads run until the first one takes it."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGSTOP)
        while process.status() not in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}:
            time.sleep(_STOPPED_POLL_S)


def last_lines(log: Path, count: int = 15) -> str:
    """Give the end of a server's log, for the message that says why it did not start."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])


def not_started(name: str, log: Path) -> StackError:
    """Say that a server did not come up, with the end of its log."""
    return StackError("not_started", f"{name} did not start; see {log}, which ends:\n{last_lines(log)}")


def _has_ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
