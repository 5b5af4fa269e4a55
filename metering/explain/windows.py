"""Windows and what stands beside them, as they are stored and as the log says once more."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple

from aggregator.state import TopicRules
from aggregator.store import explanation
from aggregator.store import replay as decisions_store
from aggregator.store.connection import Connection
from aggregator.store.explanation import LedgerRange, Scope, Start, StoredAdjustment, StoredWindow
from aggregator.store.replay import Decisions
from metering.explain.facts import (
    CORRECTION,
    Facts,
    recounted_beside,
    recounted_window,
    stored_beside,
    stored_window,
)
from metering.explain.log import Stretch, read_log
from metering.explain.recount import Beside, Counted, Found, Key, MeterRule, Recount, Topic
from metering.settings import Settings
from schemas.instant import HOUR_US
from schemas.partitioner import PARTITIONERS


class Account(NamedTuple):
    """One window, or one row beside a window; a side is None where it has no such thing."""

    key: Key
    partition: int
    offsets: tuple[int, int]  # the first and the last
    kind: str  # window, late, void, correction
    stored: Facts | None
    recounted: Facts | None
    batches: Sequence[LedgerRange]

    @property
    def is_equal(self) -> bool:
        """Whether both sides say the same; what was promoted from a replay is not in the log."""
        return self.kind == CORRECTION or self.stored == self.recounted


@dataclass(slots=True)
class Explained:
    """Everything behind some windows."""

    rules: Mapping[int, MeterRule]  # by meter version
    found: "LogFound"
    accounts: list[Account] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)  # that were read again
    records: int = 0

    @property
    def is_equal(self) -> bool:
        """Whether the log says the same of everything."""
        return all(account.is_equal for account in self.accounts)


class Question(NamedTuple):
    """Windows of meters and subjects that start in `[from_us, to_us)`, as known up to a log time."""

    meters: Sequence[str]
    subjects: Sequence[str]
    from_us: int
    to_us: int
    known_before_us: int | None = None  # None: everything counted so far


async def explain(connection: Connection, settings: Settings, questions: Sequence[Question]) -> Explained:
    """Read what is stored, read the log again, and set one beside the other.

    Raises:
        StoppedError: the log no longer reaches back that far (`log_start_gone`).
    """
    decided = await decisions_store.decisions(connection)
    rules = meter_rules(decided)
    explained = Explained(rules, LogFound())
    plan = await _plan(connection, decided, rules, questions)
    explained.found = await _recounted(connection, settings, decided, rules, plan, explained)
    for question in questions:
        await _compare(connection, question, rules, explained.found, plan, explained)
    return explained


def meter_rules(decided: Decisions) -> dict[int, MeterRule]:
    """Every version that ever counted, with the event times that it is in force for."""
    by_meter: dict[str, list[Any]] = defaultdict(list)
    for version in sorted(decided.catalog.versions, key=lambda version: version.version):
        by_meter[version.meter].append(version)
    rules = {}
    for versions in by_meter.values():
        for version, successor in zip_longest(versions, versions[1:]):
            until_us = None if successor is None else successor.effective_from_us
            has_no_time = successor is not None and until_us is None
            if not version.retired and not has_no_time:
                rules[version.meter_version_id] = MeterRule.of(
                    version.meter_version_id,
                    version.meter,
                    version.definition,
                    version.effective_from_us,
                    until_us,
                )
    return rules


@dataclass(slots=True)
class _Plan:
    """What is to be read: which subjects of which partitions, from and to where."""

    subjects: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    starts: dict[int, Start] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    partitions: dict[str, int] = field(default_factory=dict)  # by subject


async def _plan(
    connection: Connection, decided: Decisions, rules: Mapping[int, MeterRule], questions: Sequence[Question]
) -> _Plan:
    topic = decided.rules
    place = PARTITIONERS[topic.partitioner]
    plan = _Plan()
    for subject in {subject for question in questions for subject in question.subjects}:
        plan.partitions[subject] = place(subject.encode(), topic.partitions)
        plan.subjects[plan.partitions[subject]].add(subject)
    longest_us = max((rule.window_us for rule in rules.values()), default=0)
    for one in decided.partitions:
        partition = one.claimed.partition
        asked = [q for q in questions if plan.subjects[partition] & set(q.subjects)]
        if not asked:
            continue
        from_us = min(question.from_us for question in asked) - margin_us(topic)
        to_us = max(
            question.to_us + longest_us + topic.repair_horizon_us
            if question.known_before_us is None
            else question.known_before_us
            for question in asked
        )
        plan.starts[partition] = await explanation.start(connection, partition, one.first_offset, from_us)
        plan.ends[partition] = await explanation.end(connection, partition, one.claimed.next_offset, to_us)
    return plan


async def _recounted(
    connection: Connection,
    settings: Settings,
    decided: Decisions,
    rules: Mapping[int, MeterRule],
    plan: _Plan,
    explained: Explained,
) -> "LogFound":
    topic = decided.rules
    counting = {}
    for partition, start in plan.starts.items():
        counting[partition] = Recount(
            partition,
            judged_by(topic),
            list(rules.values()),
            plan.subjects[partition],
            start.frontier_us,
            {cap.offset: cap.cap_us for cap in decided.caps if cap.partition == partition},
            await explanation.rejected(connection, partition),
        )
        explained.stretches += without_skips(partition, start.offset, plan.ends[partition], decided)
    async for partition, records in read_log(settings, topic.name, explained.stretches):
        explained.records += len(records)
        for record in records:
            counting[partition].take(record)
    found = LogFound()
    for partition, recount in counting.items():
        found.add(partition, recount.found)
    return found


def judged_by(rules: TopicRules) -> Topic:
    """What a recount has to know of the topic."""
    place = PARTITIONERS[rules.partitioner]
    return Topic(
        rules.acceptance_window_us,
        rules.skew_us,
        rules.repair_horizon_us,
        lambda subject: place(subject.encode(), rules.partitions),
    )


def margin_us(rules: TopicRules) -> int:
    """What may contradict an event was appended at most this long before its time: else it is forgotten."""
    return rules.acceptance_window_us + HOUR_US + 2 * rules.skew_us


def without_skips(
    partition: int, first_offset: int, next_offset: int, decided: Decisions
) -> Iterable[Stretch]:
    """The parts of a stretch that were counted: what operators skipped was not."""
    for skip in decided.skips:
        if skip.partition == partition and first_offset <= skip.first_offset < next_offset:
            yield Stretch(partition, first_offset, skip.first_offset)
            first_offset = skip.next_offset
    yield Stretch(partition, first_offset, next_offset)


async def _compare(
    connection: Connection,
    question: Question,
    rules: Mapping[int, MeterRule],
    found: "LogFound",
    plan: _Plan,
    explained: Explained,
) -> None:
    versions = {rule.meter_version_id for rule in rules.values() if rule.meter in question.meters}
    scope = Scope(sorted(versions), question.subjects, question.from_us, question.to_us)
    ledger = Ledger(connection)
    windows = {key_of(row): row for row in await explanation.windows(connection, scope)}
    recounted = {key: events for key, events in found.windows.items() if _is_asked(key, question, versions)}
    for key in sorted({*windows, *recounted}, key=_order):
        row, events = windows.get(key), recounted.get(key)
        stored = None if row is None else stored_window(row)
        again = None if events is None else recounted_window(rules[key.meter_version_id].aggregation, events)
        seen = stored or again or {}
        offsets = seen["first_offset"], seen["last_offset"]
        partition = plan.partitions[key.subject] if row is None else row.shard
        batches = await ledger.batches(partition, *offsets)
        explained.accounts.append(Account(key, partition, offsets, "window", stored, again, batches))
    rows = {
        Place(row.partition, row.offset, row.meter_version_id): row
        for row in await explanation.adjustments(connection, scope)
        if _is_known(row.log_time_us, question)
    }
    beside = {
        place: one
        for place, one in found.beside.items()
        if _is_asked(one.key, question, versions) and _is_known(one.log_time_us, question)
    }
    for place in sorted({*rows, *beside}):
        explained.accounts.append(await _beside(place, rows.get(place), beside.get(place), ledger))


async def _beside(
    place: "Place", row: StoredAdjustment | None, one: Beside | None, ledger: "Ledger"
) -> Account:
    stored = None if row is None else stored_beside(row)
    again = None if one is None else recounted_beside(one)
    key = one.key if row is None and one is not None else key_of(row)
    batches = [] if place.partition < 0 else await ledger.batches(place.partition, place.offset, place.offset)
    kind = (stored or again or {})["kind"]
    return Account(key, place.partition, (place.offset, place.offset), kind, stored, again, batches)


class Place(NamedTuple):
    """Where the event of a row beside a window lies."""

    partition: int
    offset: int
    meter_version_id: int


@dataclass(slots=True)
class LogFound:
    """What the log says, of all partitions."""

    windows: dict[Key, list[Counted]] = field(default_factory=dict)
    beside: dict[Place, Beside] = field(default_factory=dict)

    def add(self, partition: int, found: Found) -> None:
        """Add one partition's."""
        self.windows.update(found.windows)
        for (offset, meter_version_id), one in found.beside.items():
            self.beside[Place(partition, offset, meter_version_id)] = one


class Ledger:
    """The batches of offsets, each stretch of them read once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._read: dict[tuple[int, int, int], Sequence[LedgerRange]] = {}

    async def batches(self, partition: int, first_offset: int, last_offset: int) -> Sequence[LedgerRange]:
        """Those that hold offsets from the first to the last."""
        asked = partition, first_offset, last_offset
        if asked not in self._read:
            self._read[asked] = await explanation.batches(
                self._connection, partition, first_offset, last_offset + 1
            )
        return self._read[asked]


def key_of(row: StoredWindow | StoredAdjustment | None) -> Key:
    """The window that a row is, or stands beside."""
    assert row is not None  # noqa: S101 - one of two sides is there
    return Key(row.meter_version_id, row.subject, row.groups, row.start_us)


def _order(key: Key) -> tuple[object, ...]:
    return key.start_us, key.meter_version_id, key.subject, key.groups is None, str(key.groups)


def _is_asked(key: Key, question: Question, versions: Collection[int]) -> bool:
    return (
        key.meter_version_id in versions
        and key.subject in question.subjects
        and question.from_us <= key.start_us < question.to_us
    )


def _is_known(log_time_us: int, question: Question) -> bool:
    return question.known_before_us is None or log_time_us < question.known_before_us
