"""One screen on how everything stands, with the exit code of the worst; also while servers are away."""

import json
import signal
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from integration.cli.fixtures import Metering, write
from support.processes import Commands

from metering.cli.exits import Exit
from metering.dev.conditions import until

KEYS = {
    "topic",
    "servers",
    "state",
    "state_of",
    "catalog_head",
    "closing",
    "closer",
    "rater",
    "observer",
    "auditor",
    "proof",
    "newest_event_time",
    "freshness_s",
    "outbox_pending",
    "quarantine",
    "silent_sources",
    "stops",
    "meters",
    "partitions",
}
CATALOG = "meters:\n  - {name: calls, event_type: call, aggregation: count, window: 1h, grace: 15m}\n"


@pytest_asyncio.fixture
async def ready(metering: Metering, commands: Commands) -> Metering:
    """A topic of two partitions by the broker's clock, one meter and three events."""
    write("topic.yaml", "name: status\npartitions: 2\n")
    write("metering.toml", 'topic_file = "topic.yaml"\nhealth_window_s = 600\n')
    write("catalog.yaml", CATALOG)
    commands.environment["METERING_HEALTH_WINDOW_S"] = "600"
    commands.environment["METERING_TICK_INTERVAL_S"] = "0.2"
    await metering("migrate")
    await metering("topics", "apply")
    await metering("catalog", "apply", "catalog.yaml")
    write("events.ndjson", "".join(event(number) for number in range(3)))
    await metering("publish", "events.ndjson")
    return metering


def event(number: int) -> str:
    whole = {
        "specversion": "1.0",
        "id": str(number),
        "source": "test",
        "type": "call",
        "subject": f"customer-{number}",
        "time": datetime.now(UTC).isoformat(),
        "data": {},
    }
    return json.dumps(whole) + "\n"


async def look(metering: Metering, exits: Exit) -> dict[str, Any]:
    (seen,) = (await metering("status", "--json", exits=exits)).lines
    assert set(seen) == KEYS
    return seen


async def test_what_nobody_counts_is_without_an_owner_and_what_is_counted_is_ok(
    ready: Metering, commands: Commands
) -> None:
    seen = await look(ready, Exit.PROBLEMS)
    assert (seen["state"], seen["state_of"]) == ("no_owner", [0, 1])
    assert sum(one["lag_records"] for one in seen["partitions"]) == 3
    assert seen["servers"] == {"kafka": True, "postgres": True}
    assert "without an owner" in (await ready("status", exits=Exit.PROBLEMS)).out

    worker = commands.start("worker")
    await worker.logged("flushed", deadline_s=60)

    async def is_counted() -> bool:
        lines = (await ready("status", "--json")).lines
        partitions = lines[0]["partitions"]
        return all(one["frontier"] is not None for one in partitions) and (
            sum(one["outcomes"]["accepted"] for one in partitions) == 3
        )

    assert await until(is_counted, deadline_s=60)
    seen = await look(ready, Exit.OK)
    assert (seen["state"], seen["closer"]) == ("ok", None)
    assert all(one["is_connected"] for one in seen["partitions"])
    assert 0 <= seen["freshness_s"] < 600
    assert [one["meter"] for one in seen["meters"]] == ["calls"]

    assert seen["silent_sources"] == []

    worker.kill()

    async def is_gone() -> bool:
        (seen,) = (await ready("status", "--json")).lines
        return not any(one["is_connected"] for one in seen["partitions"])

    assert await until(is_gone, deadline_s=60)
    printed = (await ready("status")).out  # it has counted a moment ago: nothing is wrong yet
    assert "(gone)" in printed
    assert "No worker is connected for: 0, 1. Start `metering worker`." in printed
    write("metering.toml", 'topic_file = "topic.yaml"\nhealth_window_s = 0.001\n')
    assert (await look(ready, Exit.PROBLEMS))["state"] == "no_owner"


async def test_who_has_stopped_to_send_is_named(ready: Metering, settings: dict[str, str]) -> None:
    connection = await asyncpg.connect(settings["METERING_POSTGRES_DSN"])
    await connection.execute("UPDATE metering.ingest_partition SET frontier = '2026-11-28T12:00:00Z'")
    await connection.execute(
        "INSERT INTO metering.source_activity (partition, hour, source, minutes, others) VALUES"
        " (0, '2026-11-28T11:00:00Z', '/orders', (1::bigint << 60) - 1, 0),"
        " (1, '2026-11-28T11:00:00Z', '/billing', (1::bigint << 57) - 1, 0)"
    )
    await connection.close()
    (seen,) = (await ready("status", "--json", exits=Exit.PROBLEMS)).lines
    assert seen["silent_sources"] == [{"source": "/billing", "since": "2026-11-28T11:56:00Z"}]
    shown = (await ready("status", exits=Exit.PROBLEMS)).out
    assert "/billing has sent nothing for 0:04:00" in shown
    assert "/orders" not in shown


async def test_a_stop_is_the_worst_and_is_shown_whoever_has_it(
    ready: Metering, settings: dict[str, str]
) -> None:
    connection = await asyncpg.connect(settings["METERING_POSTGRES_DSN"])
    await connection.execute(
        "INSERT INTO metering.partition_stop (partition, epoch, record_offset, code, seen)"
        " VALUES (1, 0, 7, 'clock_jump', 'a clock in the future')"
    )
    await connection.close()
    seen = await look(ready, Exit.STOPPED)
    assert (seen["state"], seen["state_of"]) == ("stopped", [1])
    assert [(stop["partition"], stop["code"]) for stop in seen["stops"]] == [(1, "clock_jump")]
    assert (
        "clock_jump: partition 1, offset 7: a clock in the future"
        in (await ready("status", exits=Exit.STOPPED)).out
    )


async def test_it_works_without_servers_and_says_which_are_away(
    ready: Metering, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("metering.toml", 'topic_file = "topic.yaml"\n')
    monkeypatch.setenv("METERING_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    ran = await ready("status", "--json", exits=Exit.PROBLEMS)  # it knows that nobody owns anything
    assert [one["title"] for one in ran.problems] == ["kafka_unreachable"]
    (seen,) = ran.lines
    assert seen["servers"] == {"kafka": False, "postgres": True}
    assert {one["lag_records"] for one in seen["partitions"]} == {None}
    monkeypatch.setenv("METERING_POSTGRES_DSN", "postgresql://nobody@127.0.0.1:1/nothing")
    seen = await look(ready, Exit.UNREACHABLE)
    assert seen["servers"] == {"kafka": False, "postgres": False}
    assert (seen["state"], seen["partitions"]) == (None, [])
    assert "kafka is away" in (await ready("status", exits=Exit.UNREACHABLE)).out


@pytest.mark.usefixtures("ready")
async def test_watching_goes_on_until_it_is_interrupted(commands: Commands) -> None:
    watching = commands.start("status", "--watch", "--interval-s", "0.1", "--json")

    async def has_looked_twice() -> bool:
        return len(watching.output.read_text().splitlines()) >= 2

    assert await until(has_looked_twice, deadline_s=60)
    watching.send_signal(signal.SIGINT)
    assert await watching.ended() == Exit.INTERRUPTED
    assert {one["state"] for one in map(json.loads, watching.output.read_text().splitlines())} == {"no_owner"}
