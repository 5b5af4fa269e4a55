"""Rounds through the partitions: of each a stretch of its log is recounted, and compared.

Where a sum is known to be wrong and nothing accounts for it, that is looked for first, back through the log.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from aggregator.health.aiming import Place, unaccounted
from aggregator.health.finding import Finding, Kind
from aggregator.store import explanation, finality
from aggregator.store import proof as store
from aggregator.store import replay as decisions_store
from aggregator.store.connection import BEGINNING_US, Connection
from aggregator.store.explanation import Scope
from aggregator.store.proof import FINDINGS_KEPT, Proof
from aggregator.store.replay import CountedPartition, Decisions
from metering.auditor.awake import awake
from metering.auditor.check import Check
from metering.auditor.ids import MOST_RECORDS, Ids
from metering.auditor.recounting import ANSWER_S, Recounting
from metering.auditor.search import Search
from metering.auditor.stretch import Provable, choose
from metering.auditor.summary import summary
from metering.errors import StoppedError
from metering.explain.facts import stored_beside, stored_window
from metering.explain.log import Stretch, read_log
from metering.explain.recount import MeterRule
from metering.explain.windows import key_of, meter_rules
from metering.observer.logs import LogPosition
from metering.settings import Settings
from schemas.wire import Refusal, decode

log = structlog.get_logger(__name__)

STEP_S: Final = 1.0
"""A step reads no longer than this; then it goes on where it stood in the next."""

LOOK_RECORDS: Final = 500
"""Read somewhere in the stretch, for the subjects that are in the log."""

AIMED: Final = 10
"""Stretches that a round reads of what is known to be wrong; a longer search goes on in the next round."""

_PROBES: Final = 4
"""Series that are looked at for each window that is wanted: not each has one there."""


@dataclass
class _Round:
    """One time through all partitions."""

    decided: Decisions
    rules: Mapping[int, MeterRule]
    closing_us: int
    waiting: list[CountedPartition]
    wanted: int  # windows, of each partition
    aimed: int = AIMED  # stretches left
    ended: set[Place] = field(default_factory=set)  # searched to the beginning
    recounting: Recounting | None = None
    records: int = 0
    checks: list[Check] = field(default_factory=list)
    unreadable: int = 0


class WindowRounds:
    """What is wrong with windows, as far as they were recounted."""

    def __init__(self, settings: Settings, random: Random, findings: Iterable[Finding]) -> None:
        self._settings = settings
        self._random = random
        self._open = {one.identity: one for one in findings}
        self._round: _Round | None = None
        self._totals: Sequence[Finding] = ()
        self._searches: dict[Place, Search] = {}
        self.has_ended = False
        """Whether a round has ended in the last step."""
        self.results: Counter[str] = Counter()
        """Of the last step: windows and rows beside them, by what came of comparing them."""
        self.compared: list[Check] = []
        """Of the last step: batches, whose records were counted, and ids that must be remembered."""

    async def step(
        self, connection: Connection, logs: Mapping[int, LogPosition], totals: Sequence[Finding]
    ) -> Proof:
        """Recount for a moment, and look again at what is open.

        Args:
            connection: to the database.
            logs: where the partitions' logs begin; empty: the brokers do not answer.
            totals: sums that are known to be wrong.
        """
        self._totals = totals
        self.results, self.compared, self.has_ended = Counter(), [], False
        checks: list[Check] = []
        unreadable = 0
        if logs:
            checks, unreadable = await self._recount(connection, logs)
        fresh = {check.finding.identity for check in checks}
        found = {check.finding.identity: check.finding for check in checks if not check.is_equal}
        again = 0
        for identity, finding in list(self._open.items())[:FINDINGS_KEPT]:
            if identity not in fresh:
                again += 1
                still = await _still_wrong(connection, finding)
                if still is not None:
                    found[identity] = still
        self._open = found
        wrong = sum(not check.is_equal for check in checks)
        self.results.update(equal=len(checks) - wrong, unequal=wrong, unreadable=unreadable)
        return Proof("windows", len(checks) + again, len(found), unreadable, list(found.values()))

    @property
    def is_under_way(self) -> bool:
        """Whether a round has begun and not ended."""
        return self._round is not None

    async def close(self) -> None:
        """Let the client go."""
        if self._round is not None and self._round.recounting is not None:
            await self._round.recounting.close()
        self._round = None

    async def _recount(
        self, connection: Connection, logs: Mapping[int, LogPosition]
    ) -> tuple[list[Check], int]:
        if self._round is None:
            self._round = await self._begin(connection)
        one = self._round
        one.checks, one.unreadable = [], 0
        until_s = time.monotonic() + STEP_S
        try:
            while time.monotonic() < until_s:
                if one.recounting is None and not one.waiting and not self._wrong(one, logs):
                    log.info("round_ended", records=one.records, log_time=one.closing_us)
                    self._round = None
                    self.has_ended = True
                    break
                await self._go_on(connection, one, logs)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("proof_waits", error=repr(error))
            one.unreadable += one.wanted
            await self.close()
        return one.checks, one.unreadable

    async def _begin(self, connection: Connection) -> _Round:
        decided = await decisions_store.decisions(connection)
        closing_us = await finality.closing(connection)
        waiting = [] if closing_us is None else list(decided.partitions)
        self._random.shuffle(waiting)
        wanted = -(-self._settings.prove_windows // max(1, len(waiting)))
        return _Round(decided, meter_rules(decided), closing_us or BEGINNING_US, waiting, wanted)

    async def _go_on(self, connection: Connection, one: _Round, logs: Mapping[int, LogPosition]) -> None:
        """Begin the next partition, or read a little more of this one, or compare it."""
        recounting = one.recounting
        if recounting is None:
            wrong = self._wrong(one, logs)
            if wrong:
                one.recounting = await self._aim(connection, one, wrong[0], logs)
            else:
                one.recounting = await self._next(connection, one, one.waiting.pop(), logs)
            return
        try:
            if await awake(connection, recounting.read()):
                return
            one.checks += await recounting.compare(connection)
            self.compared += recounting.accounted()
            self.compared += await recounting.remembered(connection)
        except StoppedError as error:  # deleted since it was chosen
            log.info("unreadable", partition=recounting.provable.partition, why=error.code)
            one.unreadable += one.wanted
        one.records += recounting.records
        one.recounting = None
        await recounting.close()

    def _wrong(self, one: _Round, logs: Mapping[int, LogPosition]) -> list[Place]:
        """Where this round still looks for what is known to be wrong."""
        if one.aimed == 0 or one.closing_us == BEGINNING_US:
            return []
        fresh = {check.finding.identity: check.finding for check in one.checks if not check.is_equal}
        wrong = unaccounted(self._totals, (self._open | fresh).values())
        return [
            place
            for place in wrong
            if place not in one.ended and place.partition in logs and place.meter_version_id in one.rules
        ]

    async def _aim(
        self, connection: Connection, one: _Round, place: Place, logs: Mapping[int, LogPosition]
    ) -> Recounting | None:
        one.aimed -= 1
        search = self._searches.setdefault(place, Search(place))
        rule = one.rules[place.meter_version_id]
        (counted,) = [of for of in one.decided.partitions if of.claimed.partition == place.partition]
        aimed = await search.go_on(
            connection,
            one.decided.rules,
            rule,
            counted,
            logs[place.partition].start_offset,
            one.closing_us,
            self._settings.prove_records,
        )
        if search.has_ended:
            one.ended.add(place)
        if aimed is None or not aimed.subjects:
            return None
        recounting = Recounting(self._settings, one.decided, {place.meter_version_id: rule}, aimed.provable)
        await recounting.begin(connection, aimed.subjects)
        return recounting

    async def _next(
        self, connection: Connection, one: _Round, counted: CountedPartition, logs: Mapping[int, LogPosition]
    ) -> Recounting | None:
        partition = counted.claimed.partition
        if partition not in logs:
            return None
        provable = await choose(
            connection,
            one.decided.rules,
            partition,
            counted.first_offset,
            logs[partition].start_offset,
            counted.claimed.next_offset,
            one.closing_us,
            self._settings.prove_records,
            self._random,
        )
        subjects = await self._subjects(connection, one, provable)
        if provable is None or not subjects:
            await self._none(connection, one, partition)
            return None
        recounting = Recounting(self._settings, one.decided, one.rules, provable, self._ids(one, provable))
        await recounting.begin(connection, subjects)
        return recounting

    async def _subjects(self, connection: Connection, one: _Round, provable: Provable | None) -> list[str]:
        """Half of them as the tables have them, half as the log: either may lack what the other has."""
        if provable is None or provable.from_us >= provable.until_us:
            return []
        stored = await self._stored(connection, one, provable.partition, provable.from_us, provable.until_us)
        if not stored:
            return []
        first = self._random.randrange(provable.first_offset, provable.next_offset)
        look = Stretch(provable.partition, first, min(first + LOOK_RECORDS, provable.next_offset))
        try:
            chosen = sorted(await awake(connection, self._logged(one.decided.rules.name, look)))
        except StoppedError:
            return []
        self._random.shuffle(chosen)
        return sorted({*stored, *chosen[: one.wanted]})

    def _ids(self, one: _Round, provable: Provable) -> Ids:
        """Those of some records anywhere in a stretch."""
        last = max(provable.first_offset, provable.next_offset - MOST_RECORDS)
        first = self._random.randint(provable.first_offset, last)
        return Ids(provable.partition, first, one.decided.rules.identity_key)

    async def _logged(self, topic: str, look: Stretch) -> set[str]:
        """Subjects of the events in a short stretch of the log."""
        logged = set()
        async with asyncio.timeout(ANSWER_S):
            async for _, records in read_log(self._settings, topic, [look]):
                for record in records:
                    event = decode(record.value, record.headers)
                    if not isinstance(event, Refusal) and event.control is None:
                        logged.add(event.subject)
        return logged

    async def _stored(
        self, connection: Connection, one: _Round, partition: int, from_us: int, to_us: int
    ) -> list[str]:
        """Subjects of some windows that are stored."""
        greatest = await store.greatest_series(connection)
        if greatest == 0:
            return []
        probes = [self._random.randint(1, greatest) for _ in range(_PROBES * one.wanted)]
        subjects = await store.subjects(connection, probes, partition, from_us, to_us)
        self._random.shuffle(subjects)
        return subjects[: one.wanted]

    async def _none(self, connection: Connection, one: _Round, partition: int) -> None:
        """Nothing can be proved of a partition; if there are final windows for all that, say so."""
        longest_us = max((rule.window_us + rule.grace_us for rule in one.rules.values()), default=0)
        final_us = max(BEGINNING_US, one.closing_us - longest_us)
        subjects = await self._stored(connection, one, partition, BEGINNING_US, final_us)
        if subjects:
            log.info("unreadable", partition=partition, why="too_little_of_the_log")
            one.unreadable += len(subjects)


async def _still_wrong(connection: Connection, finding: Finding) -> Finding | None:
    """The log does not change: what it came to once is what must be stored."""
    place = finding.place
    if finding.kind is Kind.WINDOW:
        start_us = place["window_us"]
    else:
        start_us = (finding.expected or finding.found)["start_us"]
    scope = Scope([place["meter_version_id"]], [place["subject"]], start_us, start_us + 1)
    found = None
    if finding.kind is Kind.WINDOW:
        groups = None if place["groups"] is None else tuple(place["groups"])
        for row in await explanation.windows(connection, scope):
            if row.shard == place["partition"] and key_of(row).groups == groups:
                found = summary(stored_window(row))
    else:
        for beside in await explanation.adjustments(connection, scope):
            if (beside.partition, beside.offset) == (place["partition"], place["offset"]):
                found = summary(stored_beside(beside))
    if found == finding.expected:
        return None
    return Finding(finding.kind, finding.sentence, place, finding.expected, found)
