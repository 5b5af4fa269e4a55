import asyncpg
import pytest
from integration.store.batches import Spoken
from integration.store.conftest import Connect
from integration.store.counting import Store

from aggregator.store import doctor, load, outbox, quarantine, status, totals
from aggregator.store.connection import Connection
from aggregator.store.quarantine import State

REFUSED_TO_A_WORKER = [
    "UPDATE batch SET worker = 'me'",
    "DELETE FROM batch",
    "UPDATE batch_meter SET increments = 0",
    "DELETE FROM batch_meter",
    "DELETE FROM adjustment",
    "UPDATE adjustment SET value = 0",
    "DELETE FROM usage_window",
    "UPDATE usage_window SET first_offset = 0",
    "DELETE FROM window_member",
    "DELETE FROM window_point",
    "UPDATE window_point SET value = 0",
    "UPDATE dedupe_chunk SET entries = ''",
    "UPDATE ingest_partition SET first_offset = 0",
    "DELETE FROM ingest_partition",
    "DELETE FROM quarantine",
    "UPDATE quarantine SET code = 'x'",
    "UPDATE repair_outbox SET target_partition = 0",
    "DELETE FROM repair_outbox",
    "INSERT INTO redrive_outbox (action_id, target_partition) VALUES (1, 0)",
    "UPDATE redrive_outbox SET target_partition = 0",
    "UPDATE quarantine_action SET who = 'x'",
    "INSERT INTO quarantine_action (attempt, action, who, reason) VALUES (1, 'discard', 'me', 'x')",
    "UPDATE series SET subject = 'x'",
    "INSERT INTO meter_version (meter, version) VALUES ('m', 1)",
    "UPDATE meter_version SET retired = true",
    "INSERT INTO catalog_apply (applied_by, digest) VALUES ('me', '')",
    "UPDATE usage_topic SET name = 'x'",
    "INSERT INTO clock_cap (partition, record_offset, cap, reason, who) VALUES (0, 0, now(), 'x', 'me')",
    "INSERT INTO skipped (partition, first_offset, next_offset, reason, who) VALUES (0, 0, 1, 'x', 'me')",
    "DELETE FROM dropped_ids",
    "DELETE FROM schema_migration",
    "TRUNCATE batch",
    "CREATE TABLE mine ()",
    "DROP TABLE batch",
]

REFUSED_TO_A_READER = [
    "SELECT identity_key FROM usage_topic",
    "SELECT value FROM quarantine",
    "SELECT headers FROM quarantine",
    "SELECT key FROM quarantine",
    "SELECT value FROM quarantine_action",
    "SELECT ensure_partitions('batch', ARRAY[now()])",
    "SELECT drop_dedupe_day(now())",
    "INSERT INTO series (meter_version_id, is_other, key, subject) VALUES (1, true, '', 'x')",
    "UPDATE ingest_partition SET epoch = 9",
    "SELECT * FROM ingest_partition FOR UPDATE",
]


REFUSED_TO_THE_API = [
    "SELECT identity_key FROM usage_topic",
    "SELECT value FROM quarantine_action",
    "UPDATE quarantine SET code = 'x'",
    "DELETE FROM quarantine",
    "UPDATE quarantine_action SET who = 'x'",
    "DELETE FROM quarantine_action",
    "UPDATE redrive_outbox SET published_at = now()",
    "DELETE FROM redrive_outbox",
    "INSERT INTO repair_outbox (partition, target_partition, record_offset) VALUES (0, 1, 0)",
    "INSERT INTO counted_repair (partition) VALUES (0)",
    "UPDATE audit SET who = 'x'",
    "UPDATE api_token SET scopes = ARRAY['quarantine:write']",
]


async def test_a_worker_takes_nothing_away(store: Store) -> None:
    assert [sql for sql in REFUSED_TO_A_WORKER if not await _is_refused(store.worker, sql)] == []


@pytest.mark.usefixtures("store")
async def test_a_reader_sees_no_secret_and_changes_nothing(connected: Connect) -> None:
    reader = await connected(role="metering_reader")
    assert [sql for sql in REFUSED_TO_A_READER if not await _is_refused(reader, sql)] == []


@pytest.mark.usefixtures("store")
async def test_the_api_decides_about_refused_records_and_changes_none(connected: Connect) -> None:
    api = await connected(role="metering_api")
    assert [sql for sql in REFUSED_TO_THE_API if not await _is_refused(api, sql)] == []


async def test_a_reader_can_read_what_people_look_at(store: Store, connected: Connect) -> None:
    await store.flush(store.logs[0].batch([Spoken(3), Spoken(refused="misplaced", target_partition=1)]))
    reader = await connected(role="metering_reader")
    assert await doctor.checks(reader) == []
    assert len(await status.partitions(reader)) == 2
    assert [total.value for total in await totals.sums(reader, "usage_sum")] == [3]
    assert await outbox.pending(reader) == 1
    assert await quarantine.ages(reader) == []
    (group,) = await quarantine.groups(reader, None, None, None)
    assert (group.code, group.state, group.records) == ("misplaced", State.REDRIVEN, 1)
    assert (await load.catalog(reader)).head == 1


@pytest.mark.usefixtures("store")
async def test_not_even_the_owner_changes_what_is_append_only(connected: Connect) -> None:
    owner = await connected(role="metering_owner")
    for table in ("usage_topic", "meter_version", "catalog_apply", "adjustment", "clock_cap", "skipped"):
        column = await owner.fetchval(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum = 2", table
        )
        for change in ("DELETE FROM {}", "TRUNCATE {} CASCADE", "UPDATE {} SET {} = {}"):
            with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
                await owner.execute(change.format(table, column, column))


async def test_everything_belongs_to_the_owner_role(store: Store) -> None:
    await store.flush(store.logs[0].batch([Spoken()]))
    owners = await store.owner.fetch(
        "SELECT DISTINCT relowner::regrole::text FROM pg_class"
        " WHERE relnamespace = current_schema()::regnamespace"
    )
    assert [row[0] for row in owners] == ["metering_owner"]


async def test_a_callers_temporary_table_does_not_fool_a_function_of_the_owner(store: Store) -> None:
    """`drop_dedupe_day` reads frontiers of the schema, not of a table that its caller has made."""
    await store.flush(store.logs[0].batch([Spoken()]))
    await store.worker.execute(
        "CREATE TEMP TABLE ingest_partition AS SELECT 'infinity'::timestamptz AS frontier;"
        "GRANT SELECT ON ingest_partition TO PUBLIC"
    )
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await store.worker.fetchval("SELECT drop_dedupe_day(min(c.event_hour)) FROM dedupe_chunk AS c")


async def _is_refused(connection: Connection, statement: str) -> bool:
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    return False
