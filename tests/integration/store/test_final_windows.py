"""No final window ever changes: the database refuses it, whoever asks and whichever way."""

import io

import asyncpg
import pytest
import pytest_asyncio
from integration.store.batches import KINDS, MINUTE_US, T0, Spoken
from integration.store.conftest import Connect
from integration.store.counting import Store

from aggregator.store import doctor, finality
from aggregator.store.connection import Connection
from schemas.catalog import Meter
from schemas.instant import HOUR_US, format_time

DAY_US = 24 * HOUR_US
OPEN_US = T0 + 40 * DAY_US  # a window of another month, and so of another time partition
ROLES = [None, "metering_owner", "metering_worker"]
TABLES = [
    f"{table}{suffix}"
    for table in ("usage_window", "window_member", "window_point")
    for suffix in ("", "_202609")
]

FINAL = "window_start = '{final}' AND series_id = (SELECT min(series_id) FROM {table})"
WINDOW_COLUMNS = "series_id, window_start, first_offset, shard, last_offset, events, value"

CHANGES = {
    "usage_window": [
        "UPDATE {table} SET value = value + 1, events = events WHERE {row}",
        "UPDATE {table} SET last_offset = last_offset, events = events",  # final ones among others
        "INSERT INTO {table} ({columns}) SELECT DISTINCT series_id, window_start, 0, 7, 0, 1, 1 FROM {table}",
        """
        INSERT INTO {table} ({columns}) SELECT {columns} FROM {table} WHERE {row}
        ON CONFLICT (series_id, window_start, shard) DO UPDATE SET value = 0
        """,
        "MERGE INTO {table} AS t USING (SELECT 1) AS s ON {row} WHEN MATCHED THEN UPDATE SET value = 0",
        "DELETE FROM {table} WHERE {row}",
        """
        WITH gone AS (DELETE FROM {table} WHERE {row} RETURNING {columns})
        INSERT INTO {table} ({columns}) SELECT {columns} FROM gone
        """,
    ],
    "window_member": [
        "INSERT INTO {table} SELECT series_id, window_start, shard, 'not ' || member FROM {table}",
        "UPDATE {table} SET member = 'not ' || member WHERE {row}",
        "DELETE FROM {table} WHERE {row}",
    ],
    "window_point": [
        "INSERT INTO {table} SELECT series_id, window_start, point_time, point_offset, 7, 0 FROM {table}",
        "UPDATE {table} SET value = 0 WHERE {row}",
        "UPDATE {table} SET point_time = point_time + interval '1 minute' WHERE {row}",
        "DELETE FROM {table} WHERE {row}",
    ],
}
MOVES = [  # of windows that are not final, into the past of those that are, or anywhere
    "UPDATE {table} SET window_start = '{final}' WHERE window_start = '{open}'",
    "UPDATE {table} SET window_start = window_start + interval '1 hour' WHERE window_start = '{open}'",
    "UPDATE {table} SET shard = 7 WHERE {row}",
    "UPDATE {table} SET series_id = 9999",
    "TRUNCATE {table}",
]
SERIES = [
    "UPDATE series SET subject = 'another'",
    "UPDATE series SET meter_version_id = 1 + meter_version_id % 6",
    "DELETE FROM series",
    "TRUNCATE series CASCADE",
]


@pytest_asyncio.fixture
async def final(store: Store) -> Store:
    """Windows at T0 that are final, of every aggregation and in both partitions, and one that is not."""
    for log in store.logs.values():
        await store.flush(log.batch([Spoken(3), Spoken(4, groups=None), Spoken(5, subject="other")]))
        await store.flush(log.batch([Spoken(6, time_us=OPEN_US)]))
    await finality.close(store.worker)
    assert await finality.final_before(store.worker) == dict.fromkeys(KINDS, OPEN_US)
    return store


@pytest.mark.parametrize("role", ROLES)
async def test_no_statement_changes_a_final_window(
    final: Store, connected: Connect, role: str | None
) -> None:
    before = await _rows(final.owner)
    by = await connected(role=role)
    done = [
        statement
        for table in TABLES
        for template in [*CHANGES[table.removesuffix("_202609")], *MOVES]
        if not await _is_refused(by, statement := _spoken(template, table), role)
    ]
    assert done == []
    assert [statement for statement in SERIES if not await _is_refused(by, statement, role)] == []
    assert await _rows(final.owner) == before


@pytest.mark.parametrize("table", ["usage_window", "usage_window_202609"])
async def test_no_copy_changes_a_final_window(final: Store, connected: Connect, table: str) -> None:
    owner = await connected(role="metering_owner")
    series_id = await final.owner.fetchval("SELECT min(series_id) FROM usage_window")
    row = f"{series_id}\t{format_time(T0)}\t0\t7\t0\t1\t1\n".encode()
    with pytest.raises(asyncpg.RestrictViolationError, match="is final"):
        await owner.copy_to_table(table, source=io.BytesIO(row), columns=WINDOW_COLUMNS.split(", "))


async def test_what_is_not_final_can_be_changed(final: Store) -> None:
    """The refusals above are not those of everything."""
    await final.flush(final.logs[0].batch([Spoken(7, time_us=OPEN_US + MINUTE_US)]))
    changed = await final.owner.execute(
        "UPDATE usage_window SET value = value WHERE window_start = $1", OPEN_US
    )
    assert int(changed.split()[1]) > 0
    await final.owner.execute("DELETE FROM window_member WHERE window_start = $1", OPEN_US)


async def test_a_flush_of_a_late_event_as_if_it_were_on_time_is_refused(final: Store) -> None:
    before = await _rows(final.owner)
    with pytest.raises(asyncpg.RestrictViolationError, match=r"INSERT|UPDATE"):
        await final.flush(final.logs[0].batch([Spoken(1, time_us=T0 + MINUTE_US)]))
    assert await _rows(final.owner) == before
    await final.claim()
    await final.flush(final.logs[0].batch([Spoken(1, time_us=T0 + MINUTE_US, is_late=True)]))
    assert await _rows(final.owner) == before
    assert await final.rows("adjustment") == len(KINDS)


async def test_windows_of_a_meter_with_more_grace_are_told_apart(store: Store) -> None:
    """The newest watermark is only the first look: each window is compared with its own meter's."""
    for log in store.logs.values():
        await store.flush(log.batch([Spoken(), Spoken(time_us=T0 + HOUR_US)]))
    await finality.close(store.worker)
    await store.owner.execute("SET session_replication_role = replica")
    await store.owner.execute(
        "UPDATE meter_watermark SET final_before = final_before - grace - window_length"
        " WHERE meter_version_id = 1"
    )
    await store.owner.execute("SET session_replication_role = origin")
    change = (
        "UPDATE usage_window SET events = events WHERE window_start = $1"
        " AND series_id IN (SELECT series_id FROM series WHERE meter_version_id = $2)"
    )
    assert await store.worker.execute(change, T0, 1) == "UPDATE 2"
    with pytest.raises(asyncpg.RestrictViolationError, match="is final"):
        await store.worker.execute(change, T0, 2)


async def test_a_callers_temporary_table_does_not_fool_the_refusal(final: Store) -> None:
    await final.worker.execute(
        "CREATE TEMP TABLE meter_watermark (meter_version_id integer, final_before timestamptz);"
        "CREATE TEMP TABLE series (series_id bigint, meter_version_id integer)"
    )
    with pytest.raises(asyncpg.RestrictViolationError, match="is final"):
        await final.worker.execute("UPDATE usage_window SET events = events WHERE window_start = $1", T0)


async def test_series_are_looked_up_by_their_index(store: Store, connected: Connect) -> None:
    """By a connection that planned it when there were few, while another meter is final beyond them all."""
    await _apply_pulse(store)
    log, other = store.logs[0], store.logs[1]
    for minute in range(2):
        move = [Spoken(time_us=T0 + minute * MINUTE_US)]
        await store.flush(log.batch(move), other.batch(move))
        await finality.close(store.worker)
    await store.owner.execute("ANALYZE series")  # one page: any other plan reads it from end to end
    worker = await connected(role="metering_worker")
    touch = "UPDATE usage_window SET events = events WHERE window_start = $1"
    await worker.execute(touch, T0)
    subjects = [f"subject-{number}" for number in range(3_000)]
    await store.flush(log.batch([Spoken(subject=one, time_us=T0 + MINUTE_US) for one in subjects]))
    async with worker.transaction():
        assert await worker.execute(touch, T0) == f"UPDATE {await store.rows('usage_window')}"
        scans = await worker.fetchrow(
            "SELECT seq_scan, idx_scan FROM pg_stat_xact_user_tables"
            " WHERE schemaname = current_schema() AND relname = 'series'"
        )
    assert scans is not None
    assert scans["seq_scan"] == 0
    assert scans["idx_scan"] > 0


async def test_every_time_partition_has_the_guard_of_its_parent(final: Store) -> None:
    rows = await final.owner.fetch(
        """
        SELECT c.relname::text, array_agg(g.tgname::text ORDER BY g.tgname) FROM pg_class AS c
        JOIN pg_trigger AS g ON g.tgrelid = c.oid
        WHERE c.relnamespace = current_schema()::regnamespace
            AND c.relname ~ '^(usage_window|window_(member|point))'
        GROUP BY 1
        """
    )
    triggers = [name for _, name in rows]
    assert len(rows) == 9
    assert all(names == triggers[0] for names in triggers)
    assert triggers[0] == ["final_delete", "final_insert", "final_key", "final_truncate", "final_update"]


async def test_windows_that_were_refused_leave_the_schema_well(final: Store) -> None:
    await _is_refused(final.worker, _spoken(CHANGES["usage_window"][0], "usage_window"), "metering_worker")
    assert await doctor.checks(final.owner) == []


async def _apply_pulse(store: Store) -> None:
    """A meter that counts nothing, and whose watermark is never more than a minute behind."""
    head = await store.owner.fetchval(
        "INSERT INTO catalog_apply (applied_by, digest) VALUES ('tests', $1) RETURNING head", bytes(32)
    )
    pulse = Meter(name="pulse", event_type="none", aggregation="count", window="1m", grace="0s")
    await store.owner.execute(
        "INSERT INTO meter_version (meter, version, definition, effective_from, retired, apply_head)"
        " VALUES ('pulse', 1, $1, '-infinity', false, $2)",
        pulse.definition(),
        head,
    )
    for log in store.logs.values():
        log.catalog_head = head


def _spoken(template: str, table: str) -> str:
    row = FINAL.format(table=table, final=format_time(T0))
    return template.format(
        table=table, row=row, columns=WINDOW_COLUMNS, final=format_time(T0), open=format_time(OPEN_US)
    )


async def _is_refused(connection: Connection, statement: str, role: str | None) -> bool:
    """By the guard; a worker has no right to some of it in the first place."""
    try:
        await connection.execute(statement)
    except asyncpg.RestrictViolationError:
        return True
    except asyncpg.InsufficientPrivilegeError:
        return role == "metering_worker"
    return False


async def _rows(connection: Connection) -> list[list[asyncpg.Record]]:
    return [
        await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4")  # noqa: S608 - a test's own name
        for table in ("usage_window", "window_member", "window_point", "series")
    ]
