import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from integration.store.conftest import Connect

from aggregator.store import migrate
from aggregator.store.connection import Connection
from aggregator.store.errors import MigrationError, NotMigrated


async def test_up_down_up_leaves_the_same_schema(connected: Connect) -> None:
    connection = await connected()
    names = [migration.name for migration in migrate.migrations()]
    assert [migration.name for migration in await migrate.pending(connection)] == names
    assert [migration.name for migration in await migrate.up(connection)] == names
    first = await _objects(connection)
    assert await migrate.pending(connection) == []
    assert await migrate.up(connection) == []
    assert [migration.name for migration in await migrate.down(connection, 0)] == names[::-1]
    assert await _objects(connection) == [("schema_migration", "r")]
    await migrate.up(connection)
    assert await _objects(connection) == first


async def test_down_stops_where_it_is_told(connected: Connect) -> None:
    connection = await connected()
    await migrate.up(connection)
    later = range(7, len(migrate.migrations()) + 1)
    undone = await migrate.down(connection, 6)
    assert [migration.version for migration in undone] == [*reversed(later)]
    assert [migration.version for migration in await migrate.pending(connection)] == [*later]


async def test_a_schema_with_time_partitions_is_migrated_with_them(connected: Connect) -> None:
    """Those made by an earlier release gain and lose what their tables do."""
    connection = await connected()
    await migrate.up(connection, migrate.migrations()[:8])
    await connection.execute("SELECT ensure_partitions('batch_meter', ARRAY['2026-11-01Z'::timestamptz])")
    before = await _constraints(connection)
    await migrate.up(connection)
    await connection.execute(
        "INSERT INTO batch_meter (log_time, partition, first_offset, meter_version_id, matched, increments,"
        " adjustments, voids, errors, increment_sum, adjustment_sum, void_sum)"
        " VALUES ('2026-11-01Z', 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0)"
    )
    await connection.execute("DELETE FROM batch_meter")
    await migrate.down(connection, 8)
    assert await _constraints(connection) == before


async def test_two_at_once_apply_each_migration_once(connected: Connect) -> None:
    connections = [await connected() for _ in range(4)]
    applied = await asyncio.gather(*(migrate.up(connection) for connection in connections))
    assert sorted(map(len, applied)) == [0, 0, 0, len(migrate.migrations())]


async def test_two_schemas_of_one_database_do_not_meet(connected: Connect) -> None:
    one, other = await connected(), await connected(schema="replay")
    await asyncio.gather(migrate.up(one), migrate.up(other))
    await one.execute("INSERT INTO ingest_partition (partition, first_offset, next_offset) VALUES (0, 0, 0)")
    assert await other.fetchval("SELECT count(*) FROM ingest_partition") == 0


async def test_a_changed_file_is_refused(connected: Connect) -> None:
    connection = await connected()
    await migrate.up(connection)
    changed = [*migrate.migrations()]
    changed[1] = replace(changed[1], digest=bytes(32))
    with pytest.raises(MigrationError, match="0002_catalog"):
        await migrate.up(connection, changed)


async def test_a_migration_of_a_later_release_is_refused(connected: Connect) -> None:
    connection = await connected()
    await migrate.up(connection)
    *earlier, latest = migrate.migrations()
    with pytest.raises(MigrationError, match=f"{latest.version:04}_{latest.name}"):
        await migrate.pending(connection, earlier)


async def test_a_failing_migration_leaves_nothing_of_itself(connected: Connect) -> None:
    connection = await connected()
    good = migrate.migrations()
    bad = replace(good[2], up=good[2].up + "SELECT no_such_function();")
    with pytest.raises(Exception, match="no_such_function"):
        await migrate.up(connection, [*good[:2], bad, *good[3:]])
    assert await migrate.pending(connection) == good[2:]
    assert ("batch", "p") not in await _objects(connection)
    assert await migrate.up(connection) == good[2:]


async def test_an_unmigrated_schema_is_named(connected: Connect) -> None:
    connection = await connected()
    with pytest.raises(NotMigrated, match="metering migrate"):
        await migrate.require_migrated(connection)
    await migrate.up(connection)
    await migrate.require_migrated(connection)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("0001_one.txt.sql", "-- migrate:up\n-- migrate:down\n"),
        ("0001_one.sql", "-- migrate:up\nSELECT 1;\n"),
        ("0002_two.sql", "-- migrate:up\n-- migrate:down\n"),
    ],
    ids=["misnamed", "one section", "misnumbered"],
)
def test_files_that_are_no_migrations_are_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"no migration|numbered"):
        migrate.migrations(tmp_path)


async def _objects(connection: Connection) -> list[tuple[str, str]]:
    rows = await connection.fetch(
        """
        SELECT relname, relkind::text FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
        UNION ALL
        SELECT proname, 'f' FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
        ORDER BY 1, 2
        """
    )
    return [tuple(row) for row in rows]


async def _constraints(connection: Connection) -> list[tuple[str, str, str]]:
    rows = await connection.fetch(
        """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = current_schema()::regnamespace AND conrelid::regclass::text LIKE 'batch_meter%'
        ORDER BY 1, 2
        """
    )
    return [tuple(row) for row in rows]
