"""What a flush costs the database, in its own counters: updates that stay on their page, bytes of WAL."""

from integration.store.batches import METER_IDS, T0, Spoken, changed
from integration.store.counting import Store

from aggregator.batch import Increment, MeterTally, Outcomes, WindowKey
from schemas.instant import HOUR_US

SUBJECTS = 500
FLUSHES = 40


async def test_windows_are_updated_in_place(store: Store) -> None:
    """Every flush touches every window, which fills pages faster than anything else."""
    log = store.logs[0]
    for number in range(FLUSHES):
        events = [Spoken(number, f"subject-{subject}", time_us=T0 + number) for subject in range(SUBJECTS)]
        await store.flush(log.batch(events))
    await store.worker.execute("SELECT pg_stat_force_next_flush()")
    await store.worker.execute("SELECT 1")  # the statement that reports
    rows = await store.owner.fetch(
        """
        SELECT relname::text, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
        WHERE schemaname = current_schema() AND relname IN ('usage_window_202609', 'ingest_partition')
        """
    )
    updates = {name: (updated, in_place / updated) for name, updated, in_place in rows}
    assert updates["usage_window_202609"][0] == (FLUSHES - 1) * SUBJECTS * len(METER_IDS)
    assert updates["usage_window_202609"][1] > 0.95
    assert updates["ingest_partition"][1] > 0.95


async def test_an_id_costs_little_more_wal_than_itself(store: Store) -> None:
    """16 bytes each, and what the pages and TOAST add: 17 to 18."""
    ids = 100_000
    await store.flush(store.logs[0].batch(unmetered=1))
    batch = store.logs[0].batch(unmetered=1)
    large = changed(
        batch,
        next_offset=batch.first_offset + ids,
        outcomes=Outcomes(accepted=ids),
        unmetered=ids,
        ids={T0 // HOUR_US: bytes(range(16)) * ids},
    )
    before = await _wal_bytes(store)
    await store.flush(large)
    assert (await _wal_bytes(store) - before) / ids < 18


async def test_a_window_that_grows_costs_little_wal(store: Store) -> None:
    """About 100 bytes a row: the record of a HOT update holds only what changed."""
    first = store.logs[0].batch([Spoken()])
    version = METER_IDS["sum"]

    def batch_from(offset: int) -> object:
        count = 10_000
        return changed(
            first,
            first_offset=offset,
            next_offset=offset + count,
            outcomes=Outcomes(accepted=count),
            ids={},
            meters={version: MeterTally(increments=count, increment_sum=count * offset)},
            increments={
                WindowKey(version, f"subject-{number}", (), T0): Increment(
                    1, offset, offset + number, offset + number
                )
                for number in range(count)
            },
        )

    for turn in range(3):
        before = await _wal_bytes(store)
        await store.flush(batch_from(turn * 10_000))  # type: ignore[arg-type]
    assert (await _wal_bytes(store) - before) / 10_000 < 130


async def _wal_bytes(store: Store) -> int:
    """Written by this server so far; a checkpoint first would add full pages, so there is none."""
    lsn = await store.owner.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
    return int(lsn)
