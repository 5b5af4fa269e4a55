"""Each fault that somebody can cause is named by the check that is there for it."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest_asyncio
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from integration.cli.fixtures import Metering, write
from support.processes import Commands
from support.topics import admin_client

from metering.broker import broker_admin, change_configs, read_topic
from metering.cli.exits import Exit
from metering.dev.conditions import until
from metering.settings import Settings

EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "test",
    "type": "call",
    "subject": "acme",
    "time": "2026-11-01T00:00:00Z",
    "data": {},
}
CATALOG = "meters:\n  - {name: calls, event_type: call, aggregation: count, window: 1h, grace: 15m}\n"
SABOTAGE = """
REVOKE INSERT ON metering.batch FROM metering_worker;
GRANT DELETE ON metering.adjustment TO metering_worker;
GRANT UPDATE ON metering.batch TO metering_reader;
INSERT INTO metering.partition_stop (partition, epoch, record_offset, code, seen)
VALUES (1, 0, 7, 'clock_jump', 'a clock in the future');
UPDATE metering.ingest_partition
SET frontier = CASE partition WHEN 1 THEN timestamptz '2026-11-01T00:00:00Z' ELSE '2026-11-01T02:00:00Z' END;
"""
CAN_BE_CLOSED = """
UPDATE metering.ingest_partition SET frontier = '2026-11-01T05:00:00Z';
INSERT INTO metering.subscription_rating (subscription, next_period_start, due_at)
VALUES ('acme', '2026-10-01T00:00:00Z', '2026-11-01T01:00:00Z');
"""

SENT = """
SET search_path = metering;
SELECT ensure_partitions(kind, ARRAY[now() - interval '1 hour', now()])
FROM unnest(ARRAY['batch', 'batch_meter', 'usage_window']) AS kind;
INSERT INTO batch (partition, first_offset, next_offset, epoch, log_time, accepted, duplicate, conflict,
    quarantined, tick, gap, lost, unmetered, late_by_pipeline, catalog_head, worker)
SELECT 0, n, n + 3, 1, now() - interval '20 minutes' + n * interval '1 second',
    1, 2, 0, 0, 0, 0, 0, 0, 0, 1, 'tests'
FROM generate_series(0, 120, 3) AS n;
INSERT INTO batch_meter (partition, first_offset, log_time, meter_version_id, matched, increments,
    adjustments, errors, increment_sum, adjustment_sum)
SELECT b.partition, b.first_offset, b.log_time, v.meter_version_id, 1, 1, 0, 0, 1, 0
FROM batch AS b, meter_version AS v;
INSERT INTO quarantine (partition, record_offset, record_time, timestamp_type, code, detail, source, headers)
SELECT 0, n, now(), 1, 'in_future', 'an hour ahead', '/clock', '[]' FROM generate_series(1, 7) AS n;
INSERT INTO series (meter_version_id, is_other, key, subject)
SELECT v.meter_version_id, true, decode(repeat('00', 16), 'hex'), 'acme' FROM meter_version AS v;
INSERT INTO usage_window (series_id, window_start, first_offset, shard, last_offset, events, value)
SELECT s.series_id, date_trunc('hour', now()), 0, 0, 10, 4, 4 FROM series AS s;
UPDATE ingest_partition SET frontier = now();
"""
QUIET = """
SET session_replication_role = replica;
UPDATE metering.batch SET duplicate = 1, gap = 1;
UPDATE metering.quarantine SET refused_at = now() - interval '1 hour';
UPDATE metering.series SET is_other = false, groups = '{}';
UPDATE metering.ingest_partition SET frontier = now() - interval '17 minutes 30 seconds';
"""
HOLD = "SELECT 1 FROM metering.ingest_partition WHERE partition = 0 FOR UPDATE"
HAS_WAITED = "SELECT true FROM pg_locks WHERE NOT granted AND waitstart < clock_timestamp() - interval '2 s'"


@pytest_asyncio.fixture
async def ready(metering: Metering) -> Metering:
    write("topic.yaml", "name: doctor\npartitions: 2\n")
    write("metering.toml", 'topic_file = "topic.yaml"\n')
    write("catalog.yaml", CATALOG)
    await metering("migrate")
    await metering("topics", "apply")
    await metering("catalog", "apply", "catalog.yaml")
    return metering


async def found(metering: Metering, exits: Exit) -> Mapping[str, Any]:
    """What was found, by code."""
    lines = (await metering("doctor", "--json", exits=exits)).lines
    assert all(
        set(one)
        == {
            "code",
            "ok",
            "result",
            "severity",
            "sentence",
            "next_step",
            "runbook",
            "rows",
            "row_count",
        }
        for one in lines
    )
    assert not [one["code"] for one in lines if one["result"] == "unknown"]
    return {one["code"]: one for one in lines if one["result"] == "found"}


async def test_what_is_new_has_no_owner_and_less_retention_than_repairs_reach(ready: Metering) -> None:
    seen = await found(ready, Exit.OK)
    assert {code: one["severity"] for code, one in seen.items()} == {
        "owners": "info",
        "duties": "info",
        "observer": "info",
        "auditor": "info",
        "horizon": "info",
    }
    assert [row["partition"] for row in seen["owners"]["rows"]] == [0, 1]
    assert [row["command"] for row in seen["duties"]["rows"]] == ["metering close", "metering rate"]
    assert seen["duties"]["sentence"] == "No closer and no rater is at work."
    assert "docs/doctor.md#owners" in (await ready("doctor")).out


async def test_what_is_wrong_with_the_database_is_named(
    ready: Metering, settings: dict[str, str], commands: Commands
) -> None:
    connection = await asyncpg.connect(settings["METERING_POSTGRES_DSN"])
    await connection.execute("UPDATE metering.ingest_partition SET frontier = '2026-11-01T00:00:00Z'")
    await commands.run("close", "--once")
    await connection.execute(SABOTAGE)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    seen = await found(ready, Exit.PROBLEMS)
    assert {"grants", "stops", "durability", "finality"} <= set(seen)
    assert {(row["role"], row["privilege"], row["object"]) for row in seen["grants"]["rows"]} == {
        ("metering_worker", "INSERT", "batch"),
        ("metering_worker", "DELETE", "adjustment"),
        ("metering_reader", "UPDATE", "batch"),
    }
    assert [row["code"] for row in seen["stops"]["rows"]] == ["clock_jump"]
    assert [row["setting"] for row in seen["durability"]["rows"]] == ["synchronous_commit"]
    assert not {"closer", "rater"} & set(seen)
    await connection.execute(CAN_BE_CLOSED)
    seen = await found(ready, Exit.PROBLEMS)
    assert "closer" in seen
    assert "rater" not in seen  # what it waits for is not closed yet
    await commands.run("close", "--once")
    seen = await found(ready, Exit.PROBLEMS)
    assert "closer" not in seen
    assert "rater" in seen
    await connection.close()


async def test_who_keeps_a_lock_that_others_wait_for_is_named(
    ready: Metering, settings: dict[str, str]
) -> None:
    dsn = settings["METERING_POSTGRES_DSN"]
    somebody = await asyncpg.connect(dsn, server_settings={"application_name": "somebody"})
    worker = await asyncpg.connect(dsn)
    transaction = somebody.transaction()
    await transaction.start()
    await somebody.execute(HOLD)

    async def has_waited() -> bool:
        return bool(await somebody.fetchval(HAS_WAITED))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.execute(HOLD))
        assert await until(has_waited, deadline_s=30)
        (row,) = (await found(ready, Exit.OK))["blocking"]["rows"]
        assert (row["pid"], row["application"], row["state"], row["waiting"]) == (
            somebody.get_server_pid(),
            "somebody",
            "idle in transaction",
            1,
        )
        assert row["since"] is not None
        await transaction.rollback()
    assert "blocking" not in await found(ready, Exit.OK)
    await somebody.close()
    await worker.close()


async def test_what_producers_send_is_named_and_is_no_problem_of_ours(
    ready: Metering, settings: dict[str, str]
) -> None:
    connection = await asyncpg.connect(settings["METERING_POSTGRES_DSN"])
    await connection.execute(SENT)
    seen = await found(ready, Exit.PROBLEMS)  # these rows are no sound ledger
    assert {seen[code]["severity"] for code in ("refused", "copies", "other_groups", "silence")} == {"info"}
    assert seen["refused"]["rows"] == [{"code": "in_future", "source": "/clock", "meter": None, "records": 7}]
    assert seen["copies"]["rows"] == [{"accepted": 41, "duplicate": 82}]
    assert seen["other_groups"]["rows"] == [{"meter": "calls", "subject": "acme", "events": 4}]
    assert seen["silence"]["rows"] == [{"meter": "calls"}]
    await connection.execute(QUIET)
    seen = await found(ready, Exit.PROBLEMS)
    assert not {"refused", "copies", "other_groups", "silence"} & set(seen)
    await connection.close()


async def test_what_is_wrong_with_the_topic_is_named(ready: Metering, settings: dict[str, str]) -> None:
    topic = settings["METERING_TOPIC"]
    write("events.ndjson", "".join(json.dumps({**EVENT, "id": str(number)}) + "\n" for number in range(5)))
    await ready("publish", "events.ndjson")
    seen = await found(ready, Exit.PROBLEMS)
    ((uncounted, waiting),) = [(row["partition"], row["lag_records"]) for row in seen["partitions"]["rows"]]
    assert waiting == 5
    assert [row["state"] for row in seen["partitions"]["rows"]] == ["no_owner"]
    assert "data_loss" not in seen
    async with broker_admin(Settings()) as admin:
        known = await read_topic(admin, topic)
        assert known is not None
        await change_configs(admin, topic, known, {"retention.ms": "3600000"})
    async with admin_client(settings["METERING_KAFKA_BOOTSTRAP_SERVERS"]) as admin:
        await admin.delete_records({TopicPartition(topic, uncounted): RecordsToDelete(before_offset=3)})
    seen = await found(ready, Exit.PROBLEMS)
    assert {"retention", "topic_config", "data_loss"} <= set(seen)
    assert [row["records"] for row in seen["data_loss"]["rows"]] == [3]
    assert "time_left" not in seen
    async with broker_admin(Settings()) as admin:
        await change_configs(admin, topic, known, {"retention.ms": "1"})
    assert "time_left" in await found(ready, Exit.PROBLEMS)
