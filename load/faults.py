"""What a soak does to workers, servers and commits, at random and for as long as it lasts."""

import asyncio
import random
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import with_test_support  # noqa: F401 - before what it lets us import
from commands import DIRECTORY, METERING, Environment
from servers import Servers
from support.postgres_wire import CommitFault, HoldCommit, LoseCommitReply, SwallowCommit
from support.proxy import Proxy, Rule

WORKERS: Final = 3
TERM_S: Final = 60.0
"""Longest time for a worker to end after SIGTERM: its drain deadline, and a busy machine."""

REST_S: Final = (0.5, 8.0)
"""Least and most time between two faults of one hand."""

FREEZE_S: Final = (0.5, 15.0)
"""How long a process is frozen: sometimes longer than the group waits for a member."""

AWAY_S: Final = (0.0, 4.0)
_LAST_LINES: Final = 40


class UnexpectedEndError(Exception):
    """A worker has ended in a way that nothing done to it explains."""


class SoakedWorker:
    """One `metering worker` process."""

    def __init__(self, name: str, environment: Environment, home: Path) -> None:
        self.name = name
        self._log = home / f"{name}.jsonl"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [METERING, "worker"],
                env={**environment, "METERING_INSTANCE": name},
                cwd=DIRECTORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def check(self) -> None:
        """See that it runs.

        Raises:
            UnexpectedEndError: it does not, though nobody has ended it.
        """
        if self._process.poll() is not None:
            raise UnexpectedEndError(
                f"{self.name} ended with {self._process.returncode}:\n{self._last_lines()}"
            )

    def freeze(self) -> None:
        """Stop it in its tracks; its connections stay open and silent."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, frozen or not."""
        self._process.kill()
        self._process.wait()
        self._log.unlink(missing_ok=True)

    async def terminate(self) -> None:
        """Ask it to drain and wait for its end.

        Raises:
            UnexpectedEndError: it ends with an error, or not at all.
        """
        self._process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.to_thread(self._process.wait, TERM_S)
        except subprocess.TimeoutExpired:
            code = None
        is_young = code == -signal.SIGTERM and not self._log.read_bytes()  # had not begun to listen
        if code != 0 and not is_young:
            raise UnexpectedEndError(f"{self.name} was to drain, ended with {code}:\n{self._last_lines()}")
        self._log.unlink()

    def _last_lines(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:])


class Crew:
    """The workers: always as many, whatever happens to each."""

    def __init__(self, environment: Environment, home: Path) -> None:
        self._environment = environment
        self._home = home
        self._started = 0
        self.workers = [self._new() for _ in range(WORKERS)]

    def replace(self, worker: SoakedWorker) -> None:
        """Start another in the place of one that has ended."""
        self.workers[self.workers.index(worker)] = self._new()

    def check(self) -> None:
        """See that all run.

        Raises:
            UnexpectedEndError: one does not.
        """
        for worker in self.workers:
            worker.check()

    async def disband(self) -> None:
        """Let all of them drain.

        Raises:
            UnexpectedEndError: one does not.
        """
        await asyncio.gather(*(worker.terminate() for worker in self.workers))
        self.workers = []

    def kill(self) -> None:
        """End all of them at once."""
        for worker in self.workers:
            worker.kill()

    def _new(self) -> SoakedWorker:
        self._started += 1
        return SoakedWorker(f"worker-{self._started}", self._environment, self._home)


class Faults:
    """Three hands at work at the same time: on workers, on servers and on commits."""

    def __init__(
        self, seed: int, crew: Crew, servers: Servers, proxy: Proxy, say: Callable[[str], None]
    ) -> None:
        self._seed = seed
        self._crew = crew
        self._servers = servers
        self._proxy = proxy
        self._say = say
        self.done: dict[str, int] = {}

    async def run(self, stopped: asyncio.Event) -> None:
        """Do harm until `stopped`; then everything runs again, unharmed.

        Raises:
            UnexpectedEndError: a worker did not survive what it must survive.
            StackError: a server did not come back.
        """
        hands: Sequence[Mapping[str, tuple[int, Callable[[random.Random], Awaitable[None]]]]] = (
            {
                "worker killed": (5, self._kill_worker),
                "worker frozen": (4, self._freeze_worker),
                "worker drained": (3, self._drain_worker),
            },
            {
                "Postgres stopped at once": (3, self._stop_postgres),
                "Postgres frozen": (2, self._freeze_postgres),
                "broker restarted": (2, self._restart_broker),
                "broker killed": (2, self._kill_broker),
                "broker frozen": (1, self._freeze_broker),
            },
            {
                "commit's reply lost": (3, lambda _: self._hurt_commit(LoseCommitReply())),
                "commit followed by silence": (1, self._silence_commit),
                "commit lost": (2, lambda _: self._hurt_commit(SwallowCommit())),
                "commit held": (2, self._hold_commit),
                "connections cut": (2, self._cut),
            },
        )
        async with asyncio.TaskGroup() as tasks:
            for number, hand in enumerate(hands):
                tasks.create_task(self._work(hand, random.Random(f"{self._seed} hand {number}"), stopped))

    async def _work(
        self,
        hand: Mapping[str, tuple[int, Callable[[random.Random], Awaitable[None]]]],
        chance: random.Random,
        stopped: asyncio.Event,
    ) -> None:
        while not await _is_set_within(stopped, chance.uniform(*REST_S)):
            self._crew.check()
            (name,) = chance.choices(list(hand), [weight for weight, _ in hand.values()])
            self._say(name)
            await hand[name][1](chance)
            self.done[name] = self.done.get(name, 0) + 1

    async def _kill_worker(self, chance: random.Random) -> None:
        worker = chance.choice(self._crew.workers)
        worker.kill()
        self._crew.replace(worker)

    async def _freeze_worker(self, chance: random.Random) -> None:
        worker = chance.choice(self._crew.workers)
        worker.freeze()
        await asyncio.sleep(chance.uniform(*FREEZE_S))
        worker.thaw()

    async def _drain_worker(self, chance: random.Random) -> None:
        worker = chance.choice(self._crew.workers)
        await worker.terminate()
        self._crew.replace(worker)

    async def _stop_postgres(self, chance: random.Random) -> None:
        await self._servers.postgres.stop("immediate")
        await asyncio.sleep(chance.uniform(*AWAY_S))
        await self._servers.postgres.start()

    async def _freeze_postgres(self, chance: random.Random) -> None:
        self._servers.postgres.freeze()
        await asyncio.sleep(chance.uniform(*FREEZE_S))
        self._servers.postgres.thaw()

    async def _restart_broker(self, chance: random.Random) -> None:
        await self._servers.kafka.stop()
        await asyncio.sleep(chance.uniform(*AWAY_S))
        await self._servers.kafka.start()

    async def _kill_broker(self, chance: random.Random) -> None:
        self._servers.kafka.kill()
        await asyncio.sleep(chance.uniform(*AWAY_S))
        await self._servers.kafka.start()

    async def _freeze_broker(self, chance: random.Random) -> None:
        self._servers.kafka.freeze()
        await asyncio.sleep(chance.uniform(*FREEZE_S))
        self._servers.kafka.thaw()

    async def _hurt_commit(self, fault: CommitFault) -> None:
        self._proxy.rule = fault
        await _is_set_within(fault.happened, FREEZE_S[1])
        self._proxy.rule = Rule()

    async def _silence_commit(self, chance: random.Random) -> None:
        fault = LoseCommitReply(then="silence")
        self._proxy.rule = fault
        if await _is_set_within(fault.happened, FREEZE_S[1]):
            await asyncio.sleep(chance.uniform(*FREEZE_S))
            self._proxy.cut()  # whatever would come after the lost reply is lost too
        self._proxy.rule = Rule()

    async def _hold_commit(self, chance: random.Random) -> None:
        fault = HoldCommit()
        self._proxy.rule = fault
        await _is_set_within(fault.happened, FREEZE_S[1])
        await asyncio.sleep(chance.uniform(*FREEZE_S))
        fault.release()
        self._proxy.rule = Rule()

    async def _cut(self, _chance: random.Random) -> None:
        self._proxy.cut()


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but no longer than this; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
