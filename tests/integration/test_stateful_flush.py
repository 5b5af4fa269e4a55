"""Claims, flushes and crashes in any order, on a real Postgres: the totals stay those of the oracle.

Owners fold and flush as a worker does, but one step at a time; two of them may believe that they own the same
partition. Commits are lost, swallowed and held by a proxy. There is no Kafka: a log is a list.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, Final, TypeVar

import asyncpg
import pytest
from faults.accounts import by_the_database, by_the_oracle
from faults.owner import Owner
from faults.topic_log import EXPECTED_CODE, LogRecord, murmur2_partition
from faults.traffic import MIX, SUBJECTS, Sent, Traffic
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from oracle.logs import METER_IDS, METERS, METERS_YAML, PARTITIONS, RULES, START_US
from support.postgres_wire import HoldCommit, LoseCommitReply, SwallowCommit, dsn_through, postgres_proxy
from support.proxy import Rule

from aggregator.store import finality, migrate, topic
from aggregator.store.connection import Connection, StoreOptions, connect
from aggregator.store.errors import CatalogMoved, Fenced, UnknownOutcome
from aggregator.store.flush import Resolution
from metering.dev.conditions import until
from schemas.catalog import Meter, load_catalog
from schemas.codes import Code
from schemas.repair import REPAIR_HEADER, RepairOrigin
from schemas.topic import TopicContract

Result = TypeVar("Result")

OWNERS: Final = 2
OPTIONS: Final = StoreOptions(schema="stateful", statement_timeout_s=10, lock_timeout_s=5)
CONTRACT: Final = TopicContract(
    name=RULES.name,
    partitions=PARTITIONS,
    acceptance_window_s=RULES.acceptance_window_us // 1_000_000,
    skew_s=RULES.skew_us // 1_000_000,
    repair_horizon_s=RULES.repair_horizon_us // 1_000_000,
)

WINDOW_TABLES: Final = ("usage_window", "window_member", "window_point")
UNUSED: Final = Meter(
    name="unused", event_type="never", aggregation="count", window="1h", grace="0s"
).definition()


class Flushes(RuleBasedStateMachine):
    """The model: who claimed each partition last, how far it is counted, and the catalog's head."""

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._dsn = dsn
        self.owner_of: dict[int, Owner] = {}
        self.next_offsets = dict.fromkeys(range(PARTITIONS), 0)
        self.head = 1
        self.final: dict[
            str, list[asyncpg.Record]
        ] = {}  # rows of windows, as they were when they became final
        self.run(self._open())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    async def _open(self) -> None:
        self.proxy = postgres_proxy(self._dsn)
        await self.proxy.listen()
        self.witness: Connection = await asyncpg.connect(
            self._dsn, server_settings={"search_path": OPTIONS.schema}
        )
        await self.witness.execute(f"DROP SCHEMA IF EXISTS {OPTIONS.schema} CASCADE")
        connection = await connect(self._dsn, OPTIONS)
        await migrate.up(connection)
        await topic.apply(connection, CONTRACT, self.next_offsets)
        await connection.close()
        await self._apply_catalog()
        for meter in load_catalog(METERS_YAML, "meters.yaml").meters:
            await self._add_version(METER_IDS[meter.name], meter.name, meter.definition())
        self.closer = await connect(self._dsn, replace(OPTIONS, role="metering_worker"))
        self.owners = [
            Owner(f"owner {number}", self._dsn, dsn_through(self.proxy, self._dsn), OPTIONS)
            for number in range(OWNERS)
        ]

    async def _apply_catalog(self) -> None:
        await self.witness.execute(
            "INSERT INTO catalog_apply (applied_by, digest) VALUES ('a test', $1)", bytes(32)
        )

    async def _add_version(self, version_id: int, name: str, definition: dict[str, Any]) -> None:
        await self.witness.execute(
            "INSERT INTO meter_version (meter_version_id, meter, version, definition, effective_from,"
            " retired, apply_head) OVERRIDING SYSTEM VALUE VALUES ($1, $2, 1, $3, '-infinity', false, $4)",
            version_id,
            name,
            json.dumps(definition),
            self.head,
        )

    @initialize(seed=st.integers(0, 2**32))
    def begin_the_logs(self, seed: int) -> None:
        self.random = Random(seed)
        self.traffic = Traffic(seed, partitions=PARTITIONS, log_us=START_US, subjects=SUBJECTS[:8])
        self.log_us = START_US
        self.repairs: list[Sent] = []
        self.logs: dict[int, list[LogRecord]] = {partition: [] for partition in range(PARTITIONS)}

    @rule(count=st.integers(1, 40))
    def append(self, count: int) -> None:
        self.traffic.pass_time(self.random.choice([0, 0, RULES.acceptance_window_us]))
        for sent in self.traffic.records(count, MIX):
            self._append(sent)
            if self.random.random() < 0.2:
                self._append_repair()

    def _append(self, sent: Sent) -> None:
        partition = sent.partition
        if partition is None:
            partition = murmur2_partition((sent.key or b"").decode(), PARTITIONS)
        log = self.logs[partition]
        offset = log[-1].offset + self.random.choice([1, 1, 1, 1, 3]) if log else 0
        self.log_us = self.log_us if sent.timestamp_us is None else sent.timestamp_us // 1000 * 1000
        log.append(LogRecord(offset, self.log_us, 1, sent.key, sent.value, sent.headers))

    def _append_repair(self) -> None:
        """Of any record so far, whether it needs one or not; now and then the last one once more."""
        if self.repairs and self.random.random() < 0.5:
            self._append(self.repairs[-1])
            return
        partition = self.random.choice([partition for partition, log in self.logs.items() if log])
        origin = self.random.choice(self.logs[partition])
        if origin.header(EXPECTED_CODE) is None and origin.header(REPAIR_HEADER) is None:
            header = RepairOrigin(partition, origin.offset, Code.MISPLACED).encode()
            self.repairs.append(Sent(origin.key, origin.value, [*origin.headers, (REPAIR_HEADER, header)]))
            self._append(self.repairs[-1])

    @rule(number=st.integers(0, OWNERS - 1), partition=st.integers(0, PARTITIONS - 1))
    def claim(self, number: int, partition: int) -> None:
        self.run(self.owners[number].claim(partition))
        self.owner_of[partition] = self.owners[number]
        assert self.owners[number].holdings[partition].newest.next_offset == self.next_offsets[partition]

    @rule(data=st.data(), count=st.integers(1, 30))
    @precondition(lambda self: any(owner.holdings for owner in self.owners))
    def fold(self, data: st.DataObject, count: int) -> None:
        owner = data.draw(st.sampled_from([owner for owner in self.owners if owner.holdings]))
        partition = data.draw(st.sampled_from(sorted(owner.holdings)))
        self.run(owner.fold(partition, self.logs[partition], count))

    @rule(data=st.data(), fault=st.sampled_from([None, None, None, LoseCommitReply, SwallowCommit]))
    @precondition(lambda self: any(self._ready(owner) for owner in self.owners))
    def flush(self, data: st.DataObject, fault: type[Rule] | None) -> None:
        owner, partitions = self._draw_flush(data)
        may = self._may_commit(owner, partitions)
        try:
            self.run(self._flush(owner, partitions, Rule() if fault is None else fault()))
        except UnknownOutcome:
            assert may is None
            assert fault is not None
            resolution = self.run(owner.resolve(partitions))
            assert resolution is (Resolution.COMMITTED if fault is LoseCommitReply else Resolution.RETRY)
            if resolution is Resolution.COMMITTED:
                self._note_committed(owner, partitions)
        except (Fenced, CatalogMoved) as refused:
            assert may is type(refused)  # noqa: PT017 - which it is depends on the run
            self.run(self._refused(owner, refused))
        else:
            assert may is None
            assert fault is None
            self._note_committed(owner, partitions)

    async def _flush(self, owner: Owner, partitions: list[int], fault: Rule) -> None:
        self.proxy.rule = fault
        try:
            await owner.flush(partitions)
        finally:
            self.proxy.rule = Rule()

    @rule(data=st.data())
    @precondition(lambda self: any(self._ready(owner) for owner in self.owners))
    def give_up_on_a_commit_that_arrives_later(self, data: st.DataObject) -> None:
        """Asking what became of it waits until the server knows."""
        owner, partitions = self._draw_flush(data)
        if self._may_commit(owner, partitions) is not None:
            return
        resolution = self.run(self._while_committing(owner, partitions, lambda: owner.resolve(partitions)))
        assert resolution is Resolution.COMMITTED
        self._note_committed(owner, partitions)

    @rule(data=st.data(), number=st.integers(0, OWNERS - 1))
    @precondition(lambda self: any(self._ready(owner) for owner in self.owners))
    def crash_before_a_commit_arrives(self, data: st.DataObject, number: int) -> None:
        """A claim waits until the server has ended what the dead owner left behind."""
        owner, partitions = self._draw_flush(data)
        if self._may_commit(owner, partitions) is not None:
            return
        successor, claimed = self.owners[number], partitions[0]

        async def crash_and_claim() -> None:
            self._note_committed(owner, partitions)
            await owner.crash()
            await successor.claim(claimed)

        self.run(self._while_committing(owner, partitions, crash_and_claim))
        self.owner_of[claimed] = successor
        assert successor.holdings[claimed].committed.next_offset == self.next_offsets[claimed]

    async def _while_committing(
        self, owner: Owner, partitions: list[int], work: Callable[[], Coroutine[Any, Any, Result]]
    ) -> Result:
        """Do some work between the moments when a COMMIT is sent and when it arrives."""
        self.proxy.rule = held = HoldCommit()
        flushing = asyncio.create_task(owner.flush(partitions))
        async with asyncio.timeout(10):
            await held.happened.wait()
        self.proxy.rule = Rule()
        flushing.cancel()
        with pytest.raises(UnknownOutcome):
            await flushing
        working = asyncio.create_task(work())
        await self._somebody_waits_for_a_lock()
        held.release()
        return await working

    async def _somebody_waits_for_a_lock(self) -> None:
        waiting = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

        async def is_waiting() -> bool:
            return bool(await self.witness.fetchval(waiting))

        assert await until(is_waiting, deadline_s=10)

    @rule(
        number=st.integers(0, OWNERS - 1),
        partition=st.integers(0, PARTITIONS - 1),
        counts=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    )
    def count_on_for_a_while(self, number: int, partition: int, counts: list[int]) -> None:
        """Nothing goes wrong: a claim, and some batches."""
        owner = self.owners[number]
        self.append(sum(counts))
        self.claim(number, partition)
        for count in counts:
            self.run(owner.fold(partition, self.logs[partition], count))
            if owner.holdings[partition].batches:
                self.run(owner.flush([partition]))
                self._note_committed(owner, [partition])

    @rule(number=st.integers(0, OWNERS - 1))
    def crash(self, number: int) -> None:
        self.run(self.owners[number].crash())

    @rule()
    def close(self) -> None:
        """Windows become final where the logs say so, and are remembered as they are then."""
        self.run(self._close_windows())

    async def _close_windows(self) -> None:
        frontiers_us = [
            max((one.timestamp for one in log if one.offset < self.next_offsets[partition]), default=None)
            for partition, log in self.logs.items()
        ]
        closed = await finality.close(self.closer)
        known = [one * 1000 for one in frontiers_us if one is not None]
        assert closed.state.closing_us == (min(known) if len(known) == PARTITIONS else None)
        for meter in METERS:
            mark_us = closed.state.final_before_us.get(METER_IDS[meter.name])
            assert mark_us == (
                (closed.state.closing_us - meter.grace_us) // meter.window_us * meter.window_us
                if closed.state.closing_us is not None
                else None
            )
        self.final = {table: await self._final_rows(table) for table in WINDOW_TABLES}

    async def _final_rows(self, table: str) -> list[asyncpg.Record]:
        """By the watermarks of the last close: every window's own end and grace, within its log time."""
        return await self.witness.fetch(
            f"""
            SELECT t.* FROM {table} AS t JOIN series AS s USING (series_id)
            JOIN meter_version AS v USING (meter_version_id) CROSS JOIN closing AS c
            WHERE t.window_start
                + (v.definition ->> 'window')::interval + (v.definition ->> 'grace')::interval
                <= c.log_time
            ORDER BY t
            """  # noqa: S608 - a test's own name
        )

    @invariant()
    def no_final_window_has_changed(self) -> None:
        for table, rows in self.final.items():
            assert self.run(self._final_rows(table)) == rows

    @rule()
    def apply_a_catalog(self) -> None:
        self.head += 1
        self.run(self._apply_catalog())
        self.run(self._add_version(100 + self.head, f"unused-{self.head}", UNUSED))

    @invariant()
    def the_ledger_has_no_gap(self) -> None:
        rows = self.run(
            self.witness.fetch("SELECT partition, first_offset, next_offset FROM batch ORDER BY 1, 2")
        )
        reached = dict.fromkeys(range(PARTITIONS), 0)
        for partition, first_offset, next_offset in rows:
            assert first_offset == reached[partition]
            reached[partition] = next_offset
        assert reached == self.next_offsets

    def teardown(self) -> None:
        try:
            if hasattr(self, "logs"):
                found = self.run(by_the_database(self.witness, METERS))
                assert found == by_the_oracle(self.logs, self.next_offsets, METERS, {}, RULES)
        finally:
            self.run(self._close())
            self._runner.close()

    async def _close(self) -> None:
        for owner in self.owners:
            await owner.crash()
        await self.witness.close()
        await self.closer.close()
        await self.proxy.close()

    def _ready(self, owner: Owner) -> list[int]:
        return [partition for partition, holding in sorted(owner.holdings.items()) if holding.batches]

    def _draw_flush(self, data: st.DataObject) -> tuple[Owner, list[int]]:
        owner = data.draw(st.sampled_from([owner for owner in self.owners if self._ready(owner)]))
        ready = self._ready(owner)
        partitions = data.draw(st.lists(st.sampled_from(ready), min_size=1, unique=True))
        note(f"{owner.name} flushes {partitions}")
        return owner, partitions

    def _may_commit(self, owner: Owner, partitions: list[int]) -> type[Fenced | CatalogMoved] | None:
        """What has to refuse this flush, if anything."""
        if any(self.owner_of.get(partition) is not owner for partition in partitions):
            return Fenced
        if any(owner.holdings[partition].batches[0].catalog_head != self.head for partition in partitions):
            return CatalogMoved
        return None

    def _note_committed(self, owner: Owner, partitions: list[int]) -> None:
        for partition in partitions:
            self.next_offsets[partition] = owner.holdings[partition].batches[0].next_offset
        owner.committed(partitions)

    async def _refused(self, owner: Owner, refused: Fenced | CatalogMoved) -> None:
        if isinstance(refused, CatalogMoved):
            assert refused.head == self.head
            await owner.fold_again()
            return
        for partition in refused.partitions:
            assert self.owner_of.get(partition) is not owner
            del owner.holdings[partition]


def test_claims_flushes_and_crashes_in_any_order(database: str) -> None:
    run_state_machine_as_test(
        partial(Flushes, database),  # type: ignore[arg-type]  # whatever makes a machine will do
        settings=settings(
            max_examples=20,
            stateful_step_count=40,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # on a real server, shrinking takes minutes
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
