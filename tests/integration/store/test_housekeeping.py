import asyncio
import secrets

import asyncpg
import pytest
from integration.store.batches import T0, Log, Spoken
from integration.store.conftest import Connect
from integration.store.counting import Store

from aggregator.store import doctor, housekeeping, load
from schemas.instant import HOUR_US

HOUR = T0 // HOUR_US
DAY_US = 24 * HOUR_US


async def test_many_chunks_of_an_hour_become_one(store: Store) -> None:
    for _ in range(10):
        late = [Spoken(is_late=True)] * 3  # for the window is over at the end of the first batch
        await store.flush(store.logs[0].batch([*late, Spoken(time_us=T0 + HOUR_US)]))
    before = await load.archive(store.worker, 0, [HOUR, HOUR + 1])
    assert await housekeeping.compact_hour(store.worker, 0, HOUR, 1) == 1
    after = await load.archive(store.worker, 0, [HOUR, HOUR + 1])
    assert after == before  # in the same order too
    sizes = await store.owner.fetch("SELECT event_hour, count(*) FROM dedupe_chunk GROUP BY 1 ORDER BY 1")
    assert [row[1] for row in sizes] == [1, 10]
    assert await housekeeping.compact_hour(store.worker, 0, HOUR, 1) == 0
    assert await doctor.checks(store.owner) == []
    await store.flush(store.logs[0].batch([Spoken(is_late=True)]))  # an hour may be added to afterwards
    assert await doctor.checks(store.owner) == []


async def test_few_chunks_stay(store: Store) -> None:
    for _ in range(7):
        await store.flush(store.logs[0].batch([Spoken()]))
    assert await housekeeping.compact_hour(store.worker, 0, HOUR, 1) == 0
    assert await store.rows("dedupe_chunk") == 7


async def test_a_former_owner_merges_nothing(store: Store) -> None:
    for _ in range(8):
        await store.flush(store.logs[0].batch([Spoken()]))
    await store.claim()
    assert await housekeeping.compact_hour(store.worker, 0, HOUR, 1) == 0
    assert await housekeeping.compact_hour(store.worker, 0, HOUR, 2) == 1


async def test_a_large_hour_becomes_pieces_that_stay(store: Store) -> None:
    await store.worker.fetchval("SELECT ensure_partitions('dedupe_chunk', ARRAY[$1::timestamptz])", T0)
    chunk = secrets.token_bytes(1024 * 1024)
    await store.owner.execute(
        "INSERT INTO dedupe_chunk (event_hour, first_offset, partition, entries)"
        " SELECT $1, place, 0, $2 FROM generate_series(1, 10) AS place",
        T0,
        chunk,
    )
    assert await housekeeping.compact_hour(store.worker, 0, HOUR, 1) == 3
    sizes = await store.owner.fetch(
        "SELECT length(entries) / 1048576 FROM dedupe_chunk ORDER BY first_offset"
    )
    assert [row[0] for row in sizes] == [4, 4, 2]
    assert await load.memory_entries(store.worker, 0, 0) == chunk * 10


async def test_two_that_merge_at_once_lose_nothing(store: Store, connected: Connect) -> None:
    for _ in range(20):
        await store.flush(store.logs[0].batch([Spoken()] * 2))
    before = await load.archive(store.worker, 0, [HOUR])
    workers = [await connected(role="metering_worker") for _ in range(4)]
    await asyncio.gather(
        *(housekeeping.compact_hour(worker, 0, HOUR, 1) for worker in workers), return_exceptions=True
    )
    after = await load.archive(store.worker, 0, [HOUR])
    assert sorted(_split(after[HOUR])) == sorted(_split(before[HOUR]))


async def test_days_are_dropped_when_every_frontier_has_passed_the_repair_horizon(store: Store) -> None:
    rules = await load.topic_rules(store.owner)
    day_end = T0 // DAY_US * DAY_US + DAY_US
    await store.flush(store.logs[0].batch([Spoken()] * 3), store.logs[1].batch(unmetered=2))
    await _advance(store, 0, day_end + rules.repair_horizon_us)
    assert await housekeeping.drop_days(store.worker) == []
    await _advance(store, 1, day_end + rules.repair_horizon_us - 1)
    assert await housekeeping.drop_days(store.worker) == []
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await store.worker.fetchval("SELECT drop_dedupe_day($1)", T0)
    await _advance(store, 1, day_end + rules.repair_horizon_us)
    assert await housekeeping.drop_days(store.worker) == [day_end - DAY_US]
    assert await store.rows("dedupe_chunk") == 3  # those of the events that moved the frontier
    dropped = await store.owner.fetch("SELECT partition, ids FROM dropped_ids ORDER BY 1")
    assert [tuple(row) for row in dropped] == [(0, 3), (1, 2)]
    assert await doctor.checks(store.owner) == []
    assert await housekeeping.drop_days(store.worker) == []


async def test_other_tables_names_are_no_days_whatever_the_plan(store: Store) -> None:
    """A server that was just started may read all of `pg_class`: TOAST tables have numbers in their names."""
    rules = await load.topic_rules(store.owner)
    await store.flush(store.logs[0].batch([Spoken()]))
    for partition in (0, 1):
        await _advance(store, partition, T0 + 2 * DAY_US + rules.repair_horizon_us)
    await store.worker.execute("SET enable_indexscan = off; SET enable_bitmapscan = off")
    await store.worker.execute("SET enable_nestloop = off; SET enable_mergejoin = off")
    assert await housekeeping.drop_days(store.worker) == [T0 // DAY_US * DAY_US]


async def test_a_day_that_is_being_read_is_left_for_the_next_time(store: Store) -> None:
    rules = await load.topic_rules(store.owner)
    await store.flush(store.logs[0].batch([Spoken()]))
    for partition in (0, 1):
        await _advance(store, partition, T0 + 2 * DAY_US + rules.repair_horizon_us)
    async with store.owner.transaction():
        await store.owner.fetch("SELECT * FROM dedupe_chunk")
        assert await housekeeping.drop_days(store.worker) == []
    assert len(await housekeeping.drop_days(store.worker)) == 1


async def _advance(store: Store, partition: int, frontier_us: int) -> None:
    """Move a partition's frontier by an event of that time."""
    log: Log = store.logs[partition]
    await store.flush(log.batch([Spoken(time_us=frontier_us)]))


def _split(entries: bytes) -> list[bytes]:
    return [entries[place : place + 16] for place in range(0, len(entries), 16)]
