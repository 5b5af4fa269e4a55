"""The database answers late, wrongly, twice or not at all, and every event is counted once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from integration.worker.fixtures import NewWorld
from integration.worker.world import (
    METERS,
    Usage,
    apply_meters,
    asked,
    becomes,
    events,
    usages,
    waits_for_a_lock,
)
from structlog.typing import EventDict
from support.postgres_wire import (
    CommitFault,
    HoldBegin,
    HoldCommit,
    LoseCommitReply,
    SwallowCommit,
    asks_to_commit,
    begins_flush,
    dsn_through,
    postgres_proxy,
)
from support.proxy import Link, Proxy, Rule

from metering.dev.ports import free_ports
from metering.worker import folder
from metering.worker.backlog import Stretch
from schemas.codes import Code
from schemas.repair import REPAIR_HEADER, RepairOrigin

REFUSE_BAD = """
    CREATE FUNCTION refuse_bad() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.subject LIKE 'bad%' THEN
            RAISE EXCEPTION 'untranslatable' USING ERRCODE = '22P05';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse_bad BEFORE INSERT ON series FOR EACH ROW EXECUTE FUNCTION refuse_bad();
"""
MORE = "  - {name: others, event_type: other, aggregation: count, window: 1h, grace: 1h}\n"
QUICK = {"statement_timeout_s": 1.0, "lock_timeout_s": 0.5}


class OnFlushes(Rule):
    """A rule for connections that flush; others have commits of their own."""

    def __init__(self, fault: Rule) -> None:
        self.fault = fault
        self._flushing: set[Link] = set()

    async def from_client(self, piece: bytes, link: Link) -> None:
        if begins_flush(piece):
            self._flushing.add(link)
        await (self.fault if link in self._flushing else super()).from_client(piece, link)

    async def from_server(self, piece: bytes, link: Link) -> None:
        await (self.fault if link in self._flushing else super()).from_server(piece, link)


class HoldThenLoseCommit(HoldCommit):
    """The COMMIT is under way until `release`, and then never arrives: the server rolls back."""

    async def from_client(self, piece: bytes, link: Link) -> None:
        if asks_to_commit(piece) and not self.happened.is_set():
            self.happened.set()
            await self._released.wait()
            link.cut()
        else:
            link.server.write(piece)


@pytest_asyncio.fixture
async def proxy(database: str) -> AsyncIterator[Proxy]:
    running = postgres_proxy(database)
    await running.listen()
    yield running
    await running.close()


@pytest.fixture
def folded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records each fold had, in order."""
    original, counts = folder.fold_stretch, list[int]()

    def noting(stretch: Any, *rest: Any) -> Any:
        counts.append(len(stretch.records))
        return original(stretch, *rest)

    monkeypatch.setattr(folder, "fold_stretch", noting)
    return counts


@pytest.mark.parametrize(
    ("fault", "resolution"),
    [
        (LoseCommitReply(skip=1), "committed"),
        (LoseCommitReply(skip=1, then="silence"), "committed"),
        (SwallowCommit(skip=1), "retry"),
    ],
    ids=["reply lost", "reply never comes", "commit lost"],
)
async def test_a_commit_in_doubt_is_asked_about(
    new_world: NewWorld,
    proxy: Proxy,
    database: str,
    logged: list[EventDict],
    fault: CommitFault,
    resolution: str,
) -> None:
    world = await new_world(**QUICK)
    proxy.rule = OnFlushes(fault)
    async with world.worker(postgres_dsn=dsn_through(proxy, database)):
        for _ in range(3):
            await world.publish(usages(60))
            await world.counts(len(world.published))
    assert fault.happened.is_set()
    assert [event["resolution"] for event in events(logged, "unknown_outcome_resolved")] == [resolution]
    await world.is_exact()


async def test_a_commit_under_way_is_waited_for(
    new_world: NewWorld, proxy: Proxy, database: str, logged: list[EventDict]
) -> None:
    world = await new_world(**QUICK)
    fault = HoldCommit()
    proxy.rule = OnFlushes(fault)
    async with world.worker(postgres_dsn=dsn_through(proxy, database)):
        await world.publish(usages(60))
        # The client gives up, asks, and finds the rows locked: it can neither say yes nor no.
        await becomes(lambda: [e for e in events(logged, "server_away") if e["work"] == "resolve"])
        assert not events(logged, "unknown_outcome_resolved")
        fault.release()
        await world.publish(usages(60))
        await world.counts(120)
    assert [event["resolution"] for event in events(logged, "unknown_outcome_resolved")] == ["committed"]
    await world.is_exact()


async def test_a_commit_in_doubt_may_turn_out_to_be_fenced(
    new_world: NewWorld, proxy: Proxy, database: str, logged: list[EventDict]
) -> None:
    world = await new_world()
    fault = HoldThenLoseCommit()
    proxy.rule = OnFlushes(fault)
    async with world.worker(postgres_dsn=dsn_through(proxy, database)):
        await world.publish(usages(60))
        await asyncio.wait_for(fault.happened.wait(), 60)
        # Another owner stands in line for the rows: it has them before the worker can ask.
        claim = asyncio.create_task(world.database.execute("UPDATE ingest_partition SET epoch = epoch + 1"))
        await waits_for_a_lock(database)
        fault.release()
        await claim
        await world.counts(60)
    assert [event["resolution"] for event in events(logged, "unknown_outcome_resolved")] == ["fenced"]
    assert len(events(logged, "fenced")) == 1
    await world.is_exact()


async def test_a_fenced_worker_changes_nothing_and_joins_anew(
    new_world: NewWorld, logged: list[EventDict]
) -> None:
    world = await new_world()
    await world.publish(usages(60))
    async with world.worker():
        await world.counts(60)
        await world.database.execute(
            "UPDATE ingest_partition SET epoch = epoch + 1, owner = 'another' WHERE partition = 1"
        )
        before = await world.rows("SELECT * FROM ingest_partition WHERE partition = 1")
        await world.publish(usages(60))
        await becomes(lambda: events(logged, "fenced"))
        assert events(logged, "fenced")[0]["partitions"] == [1]
        await world.counts(120)
    (first, *_, last) = events(logged, "partitions_claimed")
    assert last["epochs"][1] == before[0]["epoch"] + 1
    assert first["epochs"][1] == before[0]["epoch"] - 1
    await world.is_exact()


async def test_the_next_batch_is_folded_while_one_is_flushed(
    new_world: NewWorld, proxy: Proxy, database: str, folded: list[int]
) -> None:
    world = await new_world(partitions=1)
    fault = HoldCommit()
    proxy.rule = OnFlushes(fault)
    async with world.worker(postgres_dsn=dsn_through(proxy, database)):
        first = usages(40)
        await world.publish(first)
        await asyncio.wait_for(fault.happened.wait(), 60)
        seen = sum(folded)
        await world.publish([*usages(30), *first])  # copies of what is in flight, not of what is stored
        await becomes(lambda: sum(folded) > seen)
        assert await world.outcomes() == {}, "nothing is committed yet"
        fault.release()
        await world.counts(110)
    await world.is_exact()
    assert (await world.outcomes())["duplicate"] == 40


async def test_a_repair_is_compared_with_ids_that_are_still_in_flight(
    new_world: NewWorld, proxy: Proxy, database: str, folded: list[int]
) -> None:
    world = await new_world(partitions=1, clock="record", flush_interval_s=0.5)
    recent = Usage("subject-0", 5)
    old = replace(Usage("subject-0", 7), time=recent.time - timedelta(hours=49))
    now_ms = int(recent.time.timestamp() * 1000)
    fault = HoldCommit()
    proxy.rule = OnFlushes(fault)
    async with world.worker(postgres_dsn=dsn_through(proxy, database)):
        send = world.producer.send
        # In one batch an id is accepted and then, two days later by the log, forgotten.
        await send(world.settings.topic, old.value, key=b"subject-0", timestamp_ms=now_ms - 49 * 3_600_000)
        await send(world.settings.topic, recent.value, key=b"subject-0", timestamp_ms=now_ms)
        await world.producer.flush()
        await asyncio.wait_for(fault.happened.wait(), 60)
        assert folded == [2]
        # Only the flight in the air knows that this repair is a copy.
        await send(
            world.settings.topic,
            old.value,
            key=b"subject-0",
            timestamp_ms=now_ms,
            headers=[(REPAIR_HEADER, RepairOrigin(0, 12345, Code.TOO_OLD).encode())],
        )
        await becomes(lambda: folded == [2, 1])
        fault.release()
        await world.counts(3)
    assert await world.outcomes() == {"accepted": 2, "duplicate": 1}


async def test_values_that_the_database_refuses_are_found_and_kept(new_world: NewWorld) -> None:
    world = await new_world()
    await world.database.execute(REFUSE_BAD)
    good = usages(100)
    bad = [Usage(f"bad-{number}", 1) for number in range(3)]
    await world.publish([*good[:20], bad[0], *good[20:60], bad[1], bad[2], *good[60:]])
    for event in bad:
        del world.published[event.id]
    assert await world.catch_up() == 0
    kept = await world.rows("SELECT code, subject FROM quarantine ORDER BY subject")
    assert [(row["code"], row["subject"]) for row in kept] == [
        (Code.STORE_REJECTED, f"bad-{number}") for number in range(3)
    ]
    await world.is_exact()


async def test_what_was_folded_after_a_refused_value_is_folded_again(
    new_world: NewWorld, folded: list[int]
) -> None:
    world = await new_world(partitions=1)
    await world.database.execute(REFUSE_BAD)
    bad = Usage("bad", 1)
    async with world.worker():
        async with world.database.transaction():
            await world.database.execute("LOCK TABLE series IN ACCESS EXCLUSIVE MODE")
            await world.publish([bad])
            await waits_for_a_lock(world.settings.postgres_dsn.get_secret_value())
            # Folded now, this copy is a duplicate of an event that will turn out not to be counted.
            seen = sum(folded)
            await world.publish([*usages(10), bad])
            await becomes(lambda: sum(folded) == seen + 11)
        await world.counts(12)
    del world.published[bad.id]
    assert await world.outcomes() == {"accepted": 10, "quarantined": 2}
    await world.is_exact()


async def test_a_batch_that_falls_due_while_the_one_before_it_is_divided_waits_for_its_last_part(
    new_world: NewWorld, proxy: Proxy, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await new_world(partitions=1)
    await world.database.execute(REFUSE_BAD)
    asked_to_fold: list[int] = []
    fold_new = folder.Folder.fold_new

    async def noting(self: folder.Folder, stretches: Sequence[Stretch]) -> list[folder.Work]:
        asked_to_fold.extend(stretch.reading.first_offset for stretch in stretches)
        return await fold_new(self, stretches)

    monkeypatch.setattr(folder.Folder, "fold_new", noting)
    bad = Usage("bad", 1)
    fault = HoldCommit()
    proxy.rule = OnFlushes(fault)
    await world.publish([*usages(20), bad, *usages(20)])
    async with world.worker(postgres_dsn=dsn_through(proxy, database)):
        await asyncio.wait_for(fault.happened.wait(), 60)  # of the first half: the whole was refused
        first = usages(10)
        await world.publish([*first, bad])
        await becomes(lambda: 41 in asked_to_fold)
        assert await world.outcomes() == {}
        fault.release()
        await world.publish(first)
        await world.counts(62)
    del world.published[bad.id]
    assert await world.outcomes() == {"accepted": 50, "duplicate": 10, "quarantined": 2}
    await world.is_exact()


async def test_a_catalog_that_moves_while_a_refused_value_is_set_aside(
    new_world: NewWorld, proxy: Proxy, database: str
) -> None:
    world = await new_world(partitions=1)
    await world.database.execute(REFUSE_BAD)
    bad = Usage("bad", 1)
    # It is flushed as it came, then alone, and then without what was refused: that one is held.
    fault = HoldBegin(skip=2)
    proxy.rule = fault
    async with world.worker(postgres_dsn=dsn_through(proxy, database)):
        await world.publish([bad])
        await asyncio.wait_for(fault.happened.wait(), 60)
        await apply_meters(world.database, METERS + MORE)
        fault.release()
        await world.publish(usages(10))
        await world.counts(11)
    del world.published[bad.id]
    assert await world.outcomes() == {"accepted": 10, "quarantined": 1}
    await world.is_exact()


async def test_a_database_that_is_away_is_waited_for_and_said_so(
    new_world: NewWorld, proxy: Proxy, database: str, logged: list[EventDict]
) -> None:
    port = free_ports(1)[0]
    world = await new_world(**QUICK, admin_port=port)
    async with world.worker(postgres_dsn=dsn_through(proxy, database)):
        await world.publish(usages(60))
        await world.counts(60)
        assert await asked(port, "/readyz") == (200, {"ready": True, "reasons": {}})
        proxy.refuse()
        proxy.cut()
        await world.publish(usages(60))
        await becomes(lambda: events(logged, "server_away"))
        status, said = await asked(port, "/readyz")
        assert (status, set(said["reasons"])) == (503, {"database"})
        assert await asked(port, "/healthz") == (200, {"alive": True})
        await proxy.listen()
        await world.counts(120)
    await world.is_exact()


async def test_a_worker_leaves_a_frozen_database_behind(
    new_world: NewWorld, proxy: Proxy, database: str, logged: list[EventDict], folded: list[int]
) -> None:
    world = await new_world(drain_deadline_s=0.5)
    async with world.worker(postgres_dsn=dsn_through(proxy, database)) as worker:
        await world.publish(usages(60))
        await world.counts(60)
        proxy.freeze()
        await world.publish(usages(60))
        await becomes(lambda: sum(folded) == 120)
        assert await worker.stop() == 0
    assert events(logged, "drain_deadline_passed")
    proxy.thaw()
    assert await world.catch_up() == 0
    await world.is_exact()


async def test_a_worker_that_cannot_begin_says_what_is_missing(new_world: NewWorld) -> None:
    world = await new_world()
    with pytest.raises(Exception, match="metering migrate"):
        await world.catch_up(postgres_schema="elsewhere", postgres_role=None)
