import asyncio
from decimal import Decimal
from fractions import Fraction

import asyncpg
import pytest
from integration.store.batches import METER_IDS, MINUTE_US, SUBTRACTABLE, T0, Log, Spoken, changed
from integration.store.conftest import Connect
from integration.store.counting import STAMP, Store

from aggregator.batch import Increment, WindowKey
from aggregator.store import doctor, quarantine
from aggregator.store.cache import StoreCache
from aggregator.store.claim import claim
from aggregator.store.errors import CatalogMoved, Fenced, NotApplied, StoreRejected
from aggregator.store.flush import Flushed, Resolution, flush, resolve

NOT_SUBTRACTED = [kind for kind in METER_IDS if kind not in SUBTRACTABLE]
HUGE = Decimal(10**38 - 1)
TINY = Decimal("0.00000000000000000000000000000000000001")


async def test_everything_of_a_batch_is_written(store: Store) -> None:
    log = store.logs[0]
    batch = log.batch(
        [
            Spoken(3),
            Spoken(4, time_us=T0 + MINUTE_US),
            Spoken(5, groups=None),
            Spoken(7, is_late=True),
            Spoken(refused="too_old", key=None, headers=[("a", b"\xff"), ("a", b"2")]),
            Spoken(refused="misplaced", target_partition=1),
            Spoken(meter_error="sum"),
            Spoken(4, time_us=T0 + MINUTE_US, is_void=True),
        ],
        ticks=2,
        gap=3,
        unmetered=1,
    )
    await store.flush(batch)
    assert await doctor.checks(store.owner) == []
    assert dict(await store.owner.fetchrow("SELECT * FROM ingest_partition WHERE partition = 0")) == {
        **dict.fromkeys(["duplicate", "conflict", "lost", "first_offset"], 0),
        "partition": 0,
        "epoch": 1,
        "owner": "tests",
        "next_offset": 14,
        "frontier": T0 + MINUTE_US,
        "newest_time": T0 + MINUTE_US,
        "last_offset": 10,
        "last_timestamp": T0 + MINUTE_US,
        "last_hash": bytes(16),
        "accepted": 7,
        "quarantined": 2,
        "tick": 2,
        "gap": 3,
        "unmetered": 1,
        "claimed_at": await store.owner.fetchval(
            "SELECT claimed_at FROM ingest_partition WHERE partition = 0"
        ),
        "flushed_at": await store.owner.fetchval("SELECT committed_at FROM batch"),
    }
    ledger = await store.owner.fetchrow("SELECT * FROM batch")
    assert ledger is not None
    assert (ledger["epoch"], ledger["catalog_head"], ledger["log_time"]) == (1, 1, T0 + MINUTE_US)
    assert (ledger["trace_id"], ledger["span_id"], ledger["worker"]) == STAMP
    adjustment = await store.owner.fetchrow(
        "SELECT * FROM adjustment WHERE meter_version_id = $1", METER_IDS["unique"]
    )
    assert adjustment is not None
    assert (adjustment["member"], adjustment["value"], adjustment["log_time"]) == ("7", None, T0 + 3)
    voids = await store.owner.fetch(
        "SELECT meter_version_id, events, value, event_time FROM adjustment WHERE kind = 'void' ORDER BY 1"
    )
    assert [tuple(row) for row in voids] == [
        (METER_IDS["sum"], -1, -4, T0 + MINUTE_US),
        (METER_IDS["count"], -1, None, T0 + MINUTE_US),
        (METER_IDS["gauge"], -1, 4, T0 + MINUTE_US),
    ]
    kept = await store.owner.fetch(
        "SELECT record_offset, meter_version_id, code, key, headers FROM quarantine ORDER BY 1, 2"
    )
    assert [tuple(row) for row in kept] == [
        (4, 0, "too_old", None, [["a", "/w=="], ["a", "Mg=="]]),
        (5, 0, "misplaced", b"acme", []),
        (6, METER_IDS["sum"], "value_missing", b"acme", []),
        *((7, METER_IDS[kind], "void_not_subtractable", b"acme", []) for kind in NOT_SUBTRACTED),
    ]


async def test_batches_of_one_window_merge_by_aggregation(store: Store) -> None:
    log = store.logs[0]
    await store.flush(log.batch([Spoken(5, time_us=T0 + MINUTE_US), Spoken(9, time_us=T0)]))
    await store.flush(log.batch([Spoken(2, time_us=T0), Spoken(7, time_us=T0 + MINUTE_US)]))
    await store.flush(log.batch([Spoken(8, time_us=T0)]))
    rows = await store.owner.fetch(
        """
        SELECT
            s.meter_version_id, w.events, w.value, w.value_time, w.value_offset, w.first_offset, w.last_offset
        FROM usage_window AS w JOIN series AS s USING (series_id) ORDER BY 1
        """
    )
    assert {store.kinds[row[0]]: tuple(row)[1:] for row in rows} == {
        "sum": (5, 31, None, None, 0, 4),
        "count": (5, None, None, None, 0, 4),
        "min": (5, 2, None, None, 0, 4),
        "max": (5, 9, None, None, 0, 4),
        "last": (5, 7, T0 + MINUTE_US, 3, 0, 4),  # a tie in time goes to the later offset
        "unique": (5, None, None, None, 0, 4),
        "gauge": (5, 7, T0 + MINUTE_US, 3, 0, 4),
    }
    points = await store.owner.fetch(
        "SELECT point_time, point_offset, value FROM window_point ORDER BY point_time, point_offset"
    )
    assert [tuple(row) for row in points] == [
        *[(T0, 1, 9), (T0, 2, 2), (T0, 4, 8)],
        *[(T0 + MINUTE_US, 0, 5), (T0 + MINUTE_US, 3, 7)],
    ]
    members = await store.owner.fetch("SELECT member FROM window_member ORDER BY 1")
    assert [row["member"] for row in members] == ["2", "5", "7", "8", "9"]


async def test_values_stay_exact(store: Store) -> None:
    log = store.logs[0]
    series: dict[str, list[int | Decimal]] = {
        "wide decimals": [HUGE, TINY, HUGE.copy_negate(), Decimal("1E+38"), Decimal("1E-38")],
        "wide integers": [10**38, -(10**37), 1],
        "tenths": [Decimal("0.1")] * 10,
        "zeros": [Decimal("-0"), Decimal("0.000")],
    }
    for subject, values in series.items():
        for value in values:
            await store.flush(log.batch([Spoken(value, subject)]))
        stored = dict(
            await store.owner.fetch(
                "SELECT s.meter_version_id, w.value FROM usage_window AS w JOIN series AS s USING (series_id)"
                " WHERE s.subject = $1",
                subject,
            )
        )
        assert Fraction(stored[METER_IDS["sum"]]) == sum(map(Fraction, values))
        assert stored[METER_IDS["min"]] == min(values)
        assert stored[METER_IDS["max"]] == max(values)
        assert stored[METER_IDS["last"]] == values[-1]


async def test_two_partitions_share_series_and_no_window(store: Store) -> None:
    await store.flush(store.logs[1].batch([Spoken(1)]), store.logs[0].batch([Spoken(2)]))
    assert await store.rows("series") == len(METER_IDS)
    assert await store.rows("usage_window") == 2 * len(METER_IDS)
    assert await doctor.checks(store.owner) == []


async def test_a_batch_without_records_moves_the_offset(store: Store) -> None:
    await store.flush(store.logs[0].batch(gap=2))
    assert await store.owner.fetchval("SELECT log_time FROM batch") < 0  # -infinity: no record yet
    await store.flush(store.logs[0].batch(ticks=1))
    assert await doctor.checks(store.owner) == []


async def test_a_known_series_costs_no_statement(store: Store) -> None:
    log = store.logs[0]
    await store.flush(log.batch([Spoken()]))
    # begin, compare-and-set, catalog lock and head, two ledgers, ids, windows (sum, min, max, last), members,
    # points, commit
    assert await store.flush(log.batch([Spoken()])) == 14
    assert await store.flush(log.batch(ticks=1)) == 6


async def test_another_process_finds_the_series(store: Store) -> None:
    log = store.logs[0]
    await store.flush(log.batch([Spoken()]))
    store.cache = StoreCache()
    await store.flush(log.batch([Spoken(), Spoken(subject="other")]))
    assert await store.rows("series") == 2 * len(METER_IDS)


async def test_two_flushes_that_make_the_same_series_do_not_deadlock(
    store: Store, connected: Connect
) -> None:
    """They meet them in opposite orders, at the same moment."""
    workers = [await connected(role="metering_worker") for _ in range(2)]
    await store.flush(store.logs[0].batch([Spoken()]), store.logs[1].batch([Spoken()]))
    for turn in range(3):
        events = [Spoken(subject=f"{turn}-{number}") for number in range(500)]
        batches = [store.logs[0].batch(events), store.logs[1].batch(events[::-1])]
        async with asyncio.TaskGroup() as flushing, store.owner.transaction():
            await store.owner.execute("LOCK TABLE series IN SHARE MODE")
            for worker, batch in zip(workers, batches, strict=True):
                flushing.create_task(flush(worker, [batch], store.epochs, store.kinds, StoreCache(), STAMP))
            await store.until_lock_waits(2)
    assert await store.rows("series") == (1 + 3 * 500) * len(METER_IDS)
    assert await doctor.checks(store.owner) == []


async def test_a_series_of_a_flush_that_rolled_back_is_not_remembered(store: Store) -> None:
    log = store.logs[0]
    batch = log.batch([Spoken(subject="new")])
    bad = changed(
        batch, increments={**batch.increments, WindowKey(1, "nul \0", (), T0): Increment(1, 1, 0, 0)}
    )
    with pytest.raises(StoreRejected):
        await store.flush(bad)
    assert len(store.cache) == 0
    await store.flush(batch)
    assert await doctor.checks(store.owner) == []


async def test_a_value_that_the_database_refuses(store: Store) -> None:
    batch = store.logs[0].batch([Spoken()])
    key = WindowKey(METER_IDS["sum"], "acme", ("m1", None), T0)
    for increment in (Increment(1, Decimal("1E+200000"), 0, 0), Increment(2**63, 1, 0, 0)):
        with pytest.raises(StoreRejected):
            await store.flush(changed(batch, increments={**batch.increments, key: increment}))
        assert await store.owner.fetchval("SELECT sum(next_offset) FROM ingest_partition") == 100
        assert await store.rows("batch") == 0
    await store.flush(batch)  # on the same connection


async def test_text_that_is_no_unicode_is_refused(store: Store, connected: Connect) -> None:
    batch = store.logs[0].batch([Spoken()])
    for name in ("half \ud800", "nul \0"):
        bad = {**batch.increments, WindowKey(METER_IDS["sum"], name, (), T0): Increment(1, 1, 0, 0)}
        with pytest.raises(StoreRejected):
            await store.flush(changed(batch, increments=bad))
        store.worker = await connected(role="metering_worker")
    await store.flush(batch)
    assert await doctor.checks(store.owner) == []


async def test_quarantine_takes_whatever_a_producer_wrote(store: Store) -> None:
    headers = [("nul \0", b"\0"), ("L\udcfc", b""), ("a", b"1")]
    batch = store.logs[0].batch([Spoken(refused="nul_character", subject="a\0b", headers=headers)])
    await store.flush(batch)
    row = await store.owner.fetchrow("SELECT subject, headers FROM quarantine")
    assert row is not None
    assert row["subject"] == "a\ufffdb"
    assert [name for name, _ in row["headers"]] == [["bnVsIAA="], ["TPw="], "a"]


async def test_refused_records_are_sent_in_pieces(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "STATEMENT_BYTES", 1000)
    headers = [("h", b"x" * 300)]  # 400 bytes in base64
    records = [Spoken(refused="not_json", headers=headers) for _ in range(8)]
    await store.flush(store.logs[0].batch(records[:1]))
    one = await store.flush(store.logs[0].batch(records[1:2]))
    assert await store.flush(store.logs[0].batch(records[2:])) == one + 1
    rows = await store.owner.fetch("SELECT record_offset, headers FROM quarantine ORDER BY 1")
    assert [row["record_offset"] for row in rows] == list(range(8))
    assert await doctor.checks(store.owner) == []


async def test_an_offset_that_is_not_the_partitions_is_fenced(store: Store) -> None:
    log = store.logs[0]
    batch = log.batch([Spoken()])
    await store.flush(batch)
    with pytest.raises(Fenced) as fenced:
        await store.flush(batch, store.logs[1].batch([Spoken()]))
    assert fenced.value.partitions == {0}
    assert await store.owner.fetchval("SELECT next_offset FROM ingest_partition WHERE partition = 1") == 100
    assert await resolve(store.worker, [batch], store.epochs) is Resolution.COMMITTED


async def test_an_older_epoch_is_fenced(store: Store, connected: Connect) -> None:
    other = await connected(role="metering_worker")
    (claimed,) = await claim(other, [0], "other")
    assert claimed.epoch == 2
    batch = store.logs[0].batch([Spoken()])
    with pytest.raises(Fenced):
        await store.flush(batch)
    assert await resolve(store.worker, [batch], store.epochs) is Resolution.FENCED
    assert await store.rows("batch") == 0


async def test_of_two_owners_that_race_one_flushes_each_range(store: Store, connected: Connect) -> None:
    """Both believe that they own the partition: each range is counted by one of them."""
    workers = [await connected(role="metering_worker") for _ in range(4)]
    for _ in range(20):
        batch = store.logs[0].batch([Spoken()])
        results = await asyncio.gather(
            *(flush(worker, [batch], store.epochs, store.kinds, StoreCache(), STAMP) for worker in workers),
            return_exceptions=True,
        )
        assert sum(isinstance(result, Flushed) for result in results) == 1
        assert sum(isinstance(result, Fenced) for result in results) == 3
    assert await doctor.checks(store.owner) == []


async def test_a_claim_that_waits_for_a_flush_sees_it(store: Store, connected: Connect) -> None:
    other = await connected(role="metering_worker")
    batch = store.logs[0].batch([Spoken()] * 3)
    async with store.owner.transaction():
        await store.owner.execute("UPDATE ingest_partition SET tick = tick WHERE partition = 0")  # a lock
        flushing = asyncio.create_task(store.flush(batch))
        await store.until_lock_waits(1)
        claiming = asyncio.create_task(claim(other, [0], "other"))
        await store.until_lock_waits(2)
    await flushing
    (claimed,) = await claiming
    assert (claimed.next_offset, claimed.epoch, claimed.ledger_end) == (3, 2, 3)


async def test_flushes_of_both_partitions_in_any_order_do_not_deadlock(
    store: Store, connected: Connect
) -> None:
    other = await connected(role="metering_worker")
    for _ in range(10):
        batches = [store.logs[0].batch([Spoken()]), store.logs[1].batch([Spoken()])]
        results = await asyncio.gather(
            store.flush(*batches),
            flush(other, batches[::-1], store.epochs, store.kinds, StoreCache(), STAMP),
            return_exceptions=True,
        )
        assert {type(result) for result in results} in ({int, Fenced}, {Flushed, Fenced})


async def test_another_head_of_the_catalog_is_told(store: Store) -> None:
    batch = store.logs[0].batch([Spoken()])
    with pytest.raises(CatalogMoved) as moved:
        await store.flush(changed(batch, catalog_head=0))
    assert moved.value.head == 1
    assert await store.rows("batch") == 0
    await store.flush(batch)


async def test_a_flush_waits_while_the_catalog_is_held(store: Store) -> None:
    batch = store.logs[0].batch([Spoken()])
    async with store.owner.transaction():
        await store.owner.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('catalog of ' || current_schema(), 0))"
        )
        flushing = asyncio.create_task(store.flush(batch))
        await store.until_lock_waits(1)
        await store.owner.execute(
            "INSERT INTO catalog_apply (applied_by, digest) VALUES ('tests', $1)", bytes(32)
        )
    with pytest.raises(CatalogMoved) as moved:
        await flushing
    assert moved.value.head == 2


async def test_a_gap_between_outcomes_and_offsets_is_refused(store: Store) -> None:
    batch = store.logs[0].batch([Spoken()])
    with pytest.raises(asyncpg.CheckViolationError, match="every_offset_has_one_outcome"):
        await store.flush(changed(batch, next_offset=batch.next_offset + 1))
    assert await store.rows("batch") == 0


async def test_a_cancelled_flush_writes_nothing(store: Store, connected: Connect) -> None:
    batch = store.logs[0].batch([Spoken()])
    async with store.owner.transaction():
        await store.owner.execute("UPDATE ingest_partition SET tick = tick WHERE partition = 0")  # a lock
        flushing = asyncio.create_task(store.flush(batch))
        await store.until_lock_waits(1)
        flushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await flushing
    assert store.worker.is_closed()
    store.worker = await connected(role="metering_worker")
    assert await resolve(store.worker, [batch], store.epochs) is Resolution.RETRY
    await store.flush(batch)


async def test_a_lock_that_is_not_given_in_time_is_an_error_and_nothing_is_written(
    store: Store, connected: Connect
) -> None:
    store.worker = await connected(role="metering_worker", lock_timeout_s=0.1)
    batch = store.logs[0].batch([Spoken()])
    async with store.owner.transaction():
        await store.owner.execute("UPDATE ingest_partition SET tick = tick WHERE partition = 0")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await store.flush(batch)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await resolve(store.worker, [batch], store.epochs)
    await store.flush(batch)


async def test_a_claim_of_an_unknown_partition_claims_nothing(store: Store) -> None:
    with pytest.raises(NotApplied, match=r"\[2, 3\]"):
        await claim(store.worker, [3, 0, 2], "tests")
    assert await store.owner.fetchval("SELECT max(epoch) FROM ingest_partition") == 1


async def test_a_claim_returns_what_was_flushed(store: Store) -> None:
    batch = store.logs[1].batch([Spoken(), Spoken(refused="too_old")], ticks=1, gap=4, unmetered=2)
    await store.flush(batch)
    before, claimed = await claim(store.worker, [1, 0], "tests")
    assert (before.frontier_us, before.last, before.newest_time_us) == (None, None, None)
    assert claimed.outcomes == batch.outcomes
    assert (claimed.first_offset, claimed.next_offset) == (100, batch.next_offset)
    assert (claimed.frontier_us, claimed.newest_time_us) == (batch.frontier_us, batch.newest_time_us)
    assert (claimed.last, claimed.unmetered) == (batch.last, 2)
    assert before.ledger_joins
    assert claimed.ledger_joins


async def test_a_ledger_that_does_not_join_is_told_at_the_claim(store: Store) -> None:
    await store.flush(store.logs[0].batch([Spoken()]))
    await store.owner.execute("DELETE FROM batch")
    (claimed,) = await claim(store.worker, [0], "tests")
    assert (claimed.ledger_end, claimed.ledger_joins) == (0, False)


async def test_time_partitions_are_made_as_time_goes_on(store: Store) -> None:
    log = Log(0, catalog_head=1)
    day_us = 24 * 60 * MINUTE_US
    for days in (0, 1, 31, 62):
        log.frontier_us = T0 + days * day_us
        await store.flush(log.batch([Spoken(time_us=T0 + days * day_us)]))
    tables = await store.owner.fetch(
        "SELECT inhparent::regclass::text, count(*) FROM pg_inherits JOIN pg_class c ON c.oid = inhparent"
        " WHERE c.relkind = 'p' AND c.relnamespace = current_schema()::regnamespace GROUP BY 1"
    )
    assert dict(tables) == {
        "batch": 1 + 3,
        "batch_meter": 1 + 3,
        "dedupe_chunk": 4,
        "usage_window": 3,
        "window_member": 3,
        "window_point": 3,
    }
    assert await doctor.checks(store.owner) == []


@pytest.mark.usefixtures("store")
async def test_time_partitions_are_made_once_by_many(connected: Connect) -> None:
    workers = [await connected(role="metering_worker") for _ in range(4)]
    instants = [T0 + days * 24 * 60 * MINUTE_US for days in range(60)]
    made = await asyncio.gather(
        *(worker.fetchval("SELECT ensure_partitions('dedupe_chunk', $1)", instants) for worker in workers)
    )
    assert sum(made) == 60
