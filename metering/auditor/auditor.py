"""Each step proves a bounded part of what was counted, keeps what came of it, and measures it."""

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Final

import structlog

from aggregator.health.finding import Finding, Kind
from aggregator.store import proof as store
from aggregator.store import status
from aggregator.store.connection import Connection
from aggregator.store.proof import KeptProof, Proof
from metering.auditor import log_ends
from metering.auditor.ledger import LedgerRounds
from metering.auditor.totals import Totals
from metering.auditor.windows import WindowRounds
from metering.errors import UnreachableError
from metering.observer.logs import LogPosition
from metering.process.exclusive import Turn
from metering.settings import Settings
from metering.telemetry import Instruments, catalogue

log = structlog.get_logger(__name__)

EVERY_STEP: Final = ("windows", "ledger", "log")
"""What is proved in each step that the brokers answer in; totals are re-added more seldom."""


class Auditor:
    """The duty of `metering prove`.

    Args:
        settings: of this process.
        rounds: end after so many rounds through all partitions, without a rest; None: never end.
        seed: of all random choices; None: another one each time.
    """

    name: Final = "auditor"

    def __init__(self, settings: Settings, rounds: int | None = None, seed: int | None = None) -> None:
        self.interval_s = settings.prove_interval_s
        self._settings = settings
        self._rounds = rounds
        self._seed = secrets.randbits(32) if seed is None else seed
        self._turn: Turn | None = None
        self._windows: WindowRounds | None = None
        self._ledger = LedgerRounds(())
        self._totals = Totals(())
        self._open: dict[str, dict[str, Finding]] = {}  # by what is checked
        self._known: Mapping[str, KeptProof] | None = None

    async def step(self, turn: Turn) -> bool:
        """Prove a part; whether more of it is to be proved at once."""
        if turn is not self._turn or self._windows is None:
            self._windows = await self._begin(turn)
        began_s, connection, windows = time.monotonic(), turn.connection, self._windows
        topic = await status.counted_topic(connection)
        if topic is None:
            return False
        of_log, logs = await self._log(connection, topic.name)
        of_totals = await self._totals.step(connection)
        of_windows = await windows.step(connection, logs, self._totals.open)
        of_ledger = await self._ledger.step(
            connection, [(check.finding, check.is_equal) for check in windows.compared]
        )
        proofs = [one for one in (of_windows, of_ledger, of_log, of_totals) if one is not None]
        await store.keep(connection, proofs)
        self._tell(proofs)
        self._measure(turn.instruments, proofs, await store.accuracy(connection))
        turn.instruments.record(catalogue.PROOF_DURATION, time.monotonic() - began_s)
        return self._rounds is not None and windows.is_under_way

    async def is_done(self, connection: Connection) -> bool:
        """Whether another auditor has proved something since this was asked first."""
        newest = await store.newest(connection)
        if await status.counted_topic(connection) is None:
            return True
        if self._known is None:
            self._known = newest
        return all(
            what in newest and (what not in self._known or newest[what].proof_id > self._known[what].proof_id)
            for what in EVERY_STEP
        )

    async def _begin(self, turn: Turn) -> WindowRounds:
        """Take over what is open, whoever has found it."""
        self._turn = turn
        if self._windows is not None:
            await self._windows.close()
        newest = await store.newest(turn.connection)
        findings = {what: one.proof.findings for what, one in newest.items()}
        self._open = {what: _by_identity(ones) for what, ones in findings.items()}
        self._ledger = LedgerRounds(findings.get("ledger", ()))
        self._totals = Totals(findings.get("totals", ()))
        log.info("auditing", seed=self._seed)
        random = Random(self._seed)  # noqa: S311 - a choice that can be made again
        return WindowRounds(self._settings, random, findings.get("windows", ()))

    async def _log(self, connection: Connection, topic: str) -> tuple[Proof, Mapping[int, LogPosition]]:
        try:
            return await log_ends.look(connection, self._settings, topic)
        except UnreachableError as error:
            log.warning("proof_waits", error=error.sentence)
            still = list(self._open.get("log", {}).values())
            return Proof("log", len(still), len(still), 1, still), {}

    def _tell(self, proofs: Iterable[Proof]) -> None:
        for one in proofs:
            before, now = self._open.get(one.what, {}), _by_identity(one.findings)
            for identity in now.keys() - before.keys():
                log.error("found_wrong", **now[identity].document())
            for identity in before.keys() - now.keys():
                log.info("put_right", kind=before[identity].kind.value, place=before[identity].place)
            self._open[one.what] = now

    def _measure(self, instruments: Instruments, proofs: Sequence[Proof], accuracy: store.Accuracy) -> None:
        assert self._windows is not None  # noqa: S101 - begun
        for result, count in self._windows.results.items():
            instruments.add(catalogue.PROOF_WINDOWS, count, result=result)
        if accuracy.share is not None:
            instruments.set(catalogue.PROOF_ACCURACY, accuracy.share)
        kinds = [finding.kind for ones in self._open.values() for finding in ones.values()]
        for kind in Kind:
            instruments.set(catalogue.PROOF_FINDINGS, kinds.count(kind), kind=kind.value)
        if all(not one.unreadable for one in proofs if one.what == "log") and self._windows.has_ended:
            instruments.set(catalogue.PROOF_TIMESTAMP, time.time())


def _by_identity(findings: Iterable[Finding]) -> dict[str, Finding]:
    return {one.identity: one for one in findings}
