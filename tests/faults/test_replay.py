"""A log counted a second time comes to the same, however it is cut, whoever counted it first."""

import json
import time
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from faults.administering import Administrator
from faults.billed import billed, rated
from faults.conftest import ScenarioFactory
from faults.scenario import Scenario
from faults.topic_log import murmur2_partition
from oracle.logs import METERS
from support.topics import create_topic, delete_topics

FOUND, MISUSED, REFUSED, STOPPED = 1, 2, 4, 5
SIZES: Final = [{}, {"METERING_FLUSH_RECORDS": "31", "METERING_MAX_POLL_RECORDS": "7"}]
"""How replays cut the log: as the workers did, and into crumbs."""

ASPECTS: Final = {"partition", "meter", "window", "member", "point", "adjustment", "quarantine"}


async def compared(
    scenario: Scenario, shadow: str, *, counted: str = "metering", exits: int = 0
) -> dict[str, Any]:
    """What `metering compare` says."""
    comparing = scenario.commands.start("compare", shadow, "--json", METERING_POSTGRES_SCHEMA=counted)
    code = await comparing.ended()
    assert code == exits, comparing.output.read_text() + comparing.log.read_text()
    found: dict[str, Any] = json.loads(comparing.output.read_text())
    assert set(found["compared"]) >= ASPECTS, "nothing of some kind was compared"
    return found


async def test_a_replay_is_identical_however_it_is_cut_and_whoever_counted(
    scenario: Scenario, seed: int
) -> None:
    random = Random(seed)
    await scenario.set_up()
    workers = [await scenario.member() for _ in range(3)]
    async with scenario.flowing(scenario.traffic()):
        await scenario.counts_on(random.randrange(400, 900))
        workers.pop().kill()
        await scenario.counts_on(random.randrange(400, 900))
    await scenario.catch_up()
    for place, sizes in enumerate(SIZES):
        await scenario.commands.run("replay", "--into", f"shadow_{place}", **sizes)
        found = await compared(scenario, f"shadow_{place}")
        assert found["identical"]
        assert found["left_out"] == {"windows": 0, "rated_totals": 0, "cut_periods": 0}
    await scenario.commands.run("doctor", METERING_POSTGRES_SCHEMA="shadow_1")

    # What is counted afterwards is not the replay's to know.
    await scenario.publish(scenario.traffic("later").records(400))
    await scenario.catch_up()
    found = await compared(scenario, "shadow_1")
    assert found["identical"]
    assert found["left_out"]["windows"] > 0


async def test_what_operators_decided_is_decided_again(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    await scenario.set_up()
    now_us = time.time_ns() // 1000
    traffic = scenario.traffic(log_us=now_us - 60 * 3_600_000_000)
    await scenario.publish(traffic.records(300))
    await scenario.catch_up()
    stands = await scenario.next_offsets()
    await scenario.publish(traffic.records(200))
    for partition in (0, 2):
        to = str(stands[partition] + 10)
        await scenario.commands.run("partition", "skip", str(partition), "--to", to, "--reason", "noise")
    await scenario.catch_up()
    stands = await scenario.next_offsets()
    await scenario.publish(traffic.records(200))
    await scenario.commands.run(
        "partition", "skip", "0", "--to", str(stands[0] + 3), "--reason", "more noise"
    )

    *_, last = traffic.records(1)
    partition = murmur2_partition((last.key or b"").decode(), scenario.rules.partitions)
    await scenario.publish([last._replace(timestamp_us=now_us + 1_800_000_000, partition=partition)])
    await scenario.publish(traffic.records(100))
    worker = scenario.worker("--until-caught-up")
    assert await worker.ended() == STOPPED
    (stop,) = worker.events("partition_stopped", code="clock_jump", partition=partition)
    true_time = datetime.fromtimestamp((last.timestamp_us or 0) / 1e6, UTC).isoformat()
    await scenario.commands.run(
        *("partition", "cap", str(partition), str(stop["offset"]), "--time", true_time, "--reason", "NTP")
    )
    await scenario.catch_up()

    await scenario.commands.run("replay", "--into", "shadow", METERING_FLUSH_RECORDS="53")
    assert (await compared(scenario, "shadow"))["identical"]


async def test_a_difference_is_found_and_named(scenario: Scenario) -> None:
    await scenario.set_up()
    await scenario.publish(scenario.traffic().records(400))
    await scenario.catch_up()
    await scenario.commands.run("replay", "--into", "shadow")
    witness = await scenario.witness()
    tampered = await witness.fetchrow(
        "UPDATE shadow.usage_window SET value = value + 3 WHERE (series_id, window_start, shard) IN ("
        " SELECT series_id, window_start, shard FROM shadow.usage_window JOIN shadow.series USING (series_id)"
        " JOIN shadow.meter_version USING (meter_version_id) WHERE meter = 'tokens' LIMIT 1)"
        " RETURNING window_start, shard"
    )
    assert tampered is not None
    found = await compared(scenario, "shadow", exits=FOUND)
    assert found["different"] == {aspect: int(aspect == "window") for aspect in found["compared"]}
    (difference,) = found["differences"]
    assert difference["of"]["meter"] == "tokens"
    assert difference["of"]["shard"] == tampered["shard"]
    assert found["units"]["tokens"]["difference"] == "3"


async def test_another_catalog_counts_otherwise_from_its_instant_on(scenario: Scenario) -> None:
    await scenario.set_up()
    await scenario.publish(scenario.traffic().records(400))
    await scenario.catch_up()
    catalog = scenario.write(
        "other.yaml", "meters: [{name: calls, event_type: call, aggregation: count, window: 15m, grace: 1h}]"
    )
    await scenario.commands.run("replay", "--into", "shadow", "--catalog", str(catalog))
    witness = await scenario.witness()
    meters = await witness.fetch("SELECT meter_version_id, meter, version FROM shadow.meter_version")
    assert [tuple(row) for row in meters] == [(len(METERS) + 1, "calls", 2)], (
        "an id of its own, for it is another meter"
    )
    found = await compared_loosely(scenario, "shadow")
    assert found["units"]["calls"]["difference"] == "0"
    assert found["units"]["tokens"]["replayed"] == "0"
    assert found["different"]["adjustment"] > 0


async def compared_loosely(scenario: Scenario, shadow: str) -> dict[str, Any]:
    """As `compared`, of a shadow that may lack whole kinds of rows."""
    comparing = scenario.commands.start("compare", shadow, "--json")
    assert await comparing.ended() == FOUND
    found: dict[str, Any] = json.loads(comparing.output.read_text())
    return found


async def test_what_cannot_be_replayed_is_refused(scenario: Scenario) -> None:
    await scenario.set_up()
    await scenario.publish(scenario.traffic().records(300))
    await scenario.catch_up()
    assert await refusal(scenario, MISUSED, "--into", "metering") == "schema_not_empty"
    bad = scenario.write(
        "bad.yaml", "meters: [{name: calls, event_type: call, aggregation: count, window: 1d, grace: 1d}]"
    )
    assert await refusal(scenario, REFUSED, "--into", "shadow", "--catalog", str(bad)) == "grace_too_long"
    assert await refusal(scenario, STOPPED, "--into", "shadow", METERING_TOPIC="another") == "topic_mismatch"
    comparing = scenario.commands.start("compare", "metering", "--json")
    assert await comparing.ended() == STOPPED
    assert "not_a_replay" in comparing.log.read_text()

    await Administrator(scenario.bootstrap_servers, scenario.rules.name).delete_records({1: 5})
    assert await refusal(scenario, STOPPED, "--into", "shadow") == "log_start_gone"
    await delete_topics(scenario.bootstrap_servers, [scenario.rules.name])
    await create_topic(scenario.bootstrap_servers, scenario.rules.name, partitions=scenario.rules.partitions)
    assert await refusal(scenario, STOPPED, "--into", "shadow") == "log_replaced"
    witness = await scenario.witness()
    assert await witness.fetchval("SELECT to_regnamespace('shadow') IS NULL"), "nothing was made"


async def refusal(scenario: Scenario, exit_code: int, *arguments: str, **environment: str) -> str:
    """The code with which a replay is refused."""
    replay = scenario.commands.start("replay", *arguments, "--json", **environment)
    assert await replay.ended() == exit_code, replay.log.read_text()
    return str(json.loads(replay.log.read_text().splitlines()[-1])["title"])


async def test_rated_documents_are_the_same_to_the_byte(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    await billed(scenario, 1_500)
    versions = [total["version"] for total in await rated(scenario)]
    assert versions.count(1) >= 5
    assert max(versions) > 1, "nothing late has made a second version"
    for shadow, sizes in (("shadow_0", SIZES[0]), ("shadow_1", SIZES[1])):
        await scenario.commands.run("replay", "--into", shadow, **sizes)
        found = await compared(scenario, shadow)
        assert found["identical"]
        assert found["compared"]["rated_total"] == len(versions)
        assert found["compared"]["watermark"] == len(METERS)
        assert found["left_out"] == {"windows": 0, "rated_totals": 0, "cut_periods": 0}
        assert found["money"]["USD"]["counted"] == found["money"]["USD"]["replayed"] != "0"
