"""What must stop a worker, loudly and with a code, because going on would count wrongly."""

import time
from datetime import UTC, datetime

import pytest_asyncio
from faults.administering import Administrator
from faults.conftest import ScenarioFactory
from faults.proof import is_exact, is_exact_so_far, outcomes, read_back, settled
from faults.scenario import Scenario
from faults.topic_log import murmur2_partition
from support.topics import create_topic, delete_topics

STOPPED = 5
FOUND = 1
APPENDED = 1  # by the broker's clock


async def test_a_topic_deleted_and_made_again_stops_its_workers(scenario: Scenario) -> None:
    await scenario.set_up()
    workers = [await scenario.member(), await scenario.member()]
    await scenario.publish(scenario.traffic().records(600))
    await scenario.has_counted(600)
    await settled(scenario)
    account = await is_exact(scenario)

    name = scenario.rules.name
    scenario.replaced = await read_back(scenario)
    await delete_topics(scenario.bootstrap_servers, [name])
    await create_topic(
        scenario.bootstrap_servers, name, partitions=scenario.rules.partitions, configs=scenario.configs
    )
    # More than there was before: the offset to go on at is there, but in another log.
    await scenario.publish(scenario.traffic("of the new log").records(1200))
    for worker in workers:
        assert await worker.ended() == STOPPED
        assert "log_replaced" in worker.log.read_text()
    late_comer = scenario.worker("--until-caught-up")
    assert await late_comer.ended() == STOPPED
    assert late_comer.events("partition_stopped", code="log_replaced")
    assert await is_exact_so_far(scenario) == account, "nothing of the new log is counted"


async def test_records_deleted_before_they_were_counted_stop_their_partition_until_given_up(
    scenario: Scenario,
) -> None:
    await scenario.set_up()
    traffic = scenario.traffic()
    await scenario.publish(traffic.records(600))
    await scenario.catch_up()
    stands = await scenario.next_offsets()
    await scenario.publish(traffic.records(1200))
    lost_until = stands[1] + 70
    scenario.deleted = await read_back(scenario)
    await Administrator(scenario.bootstrap_servers, scenario.rules.name).delete_records({1: lost_until})

    # The group deals partitions out in the order of names: the late-comer waits for what the other has.
    worker = scenario.worker(METERING_INSTANCE="worker-b")
    await worker.logged("partition_stopped", code="offset_out_of_range", partition=1, offset=stands[1])
    await scenario.publish(traffic.records(300))
    late_comer = scenario.worker("--until-caught-up", METERING_INSTANCE="worker-a")
    assert await late_comer.ended() == STOPPED
    assert "offset_out_of_range" in late_comer.log.read_text()
    assert not late_comer.events("partition_stopped"), "it was told by the database"
    assert (await scenario.next_offsets())[1] == stands[1], "nothing is skipped by itself"

    worker.kill()
    await scenario.commands.run("partition", "skip", "1", "--to", str(lost_until), "--reason", "retention")
    await scenario.catch_up()
    account = await is_exact(scenario)
    assert outcomes(account)["lost"] == 70


async def test_another_number_of_partitions_stops_the_workers(scenario: Scenario) -> None:
    await scenario.set_up()
    worker = await scenario.member()
    await scenario.publish(scenario.traffic().records(600))
    await scenario.has_counted(600)
    await Administrator(scenario.bootstrap_servers, scenario.rules.name).set_partitions(5)
    assert await worker.ended() == STOPPED
    assert "partition_count_changed" in worker.log.read_text()
    late_comer = scenario.worker()
    assert await late_comer.ended() == STOPPED
    assert "partition_count_changed" in late_comer.log.read_text()


async def test_timestamps_that_producers_choose_stop_the_workers(scenario: Scenario) -> None:
    await scenario.set_up()
    worker = await scenario.member()
    await scenario.publish(scenario.traffic().records(600))
    await scenario.has_counted(600)
    administrator = Administrator(scenario.bootstrap_servers, scenario.rules.name)
    await administrator.set_config("message.timestamp.type", "CreateTime")
    await scenario.publish(scenario.traffic("of another clock").records(100))
    assert await worker.ended() == STOPPED
    assert worker.events("partition_stopped", code="create_time_topic")
    await administrator.set_config("message.timestamp.type", "LogAppendTime")  # doctor would speak of it
    await is_exact_so_far(scenario)
    for partition, next_offset in (await scenario.next_offsets()).items():
        log = (await read_back(scenario))[partition]
        assert all(record.timestamp_type == APPENDED for record in log if record.offset < next_offset)


async def test_a_clock_that_jumps_stops_its_partition_until_an_operator_says_what_time_it_was(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    await scenario.set_up()
    now_us = time.time_ns() // 1000
    traffic = scenario.traffic(log_us=now_us - 40 * 3_600_000_000)
    await scenario.publish(traffic.records(200))
    *_, last = traffic.records(1)
    partition = murmur2_partition((last.key or b"").decode(), scenario.rules.partitions)
    await scenario.publish([last._replace(timestamp_us=now_us + 1_800_000_000, partition=partition)])
    await scenario.publish(traffic.records(200))

    worker = scenario.worker("--until-caught-up")
    assert await worker.ended() == STOPPED
    (stop,) = worker.events("partition_stopped", code="clock_jump", partition=partition)
    await is_exact_so_far(scenario)

    true_time = datetime.fromtimestamp((last.timestamp_us or 0) / 1e6, UTC).isoformat()
    await scenario.commands.run(
        "partition", "cap", str(partition), str(stop["offset"]), "--time", true_time, "--reason", "NTP"
    )
    await scenario.catch_up()
    await is_exact(scenario)


TAMPERINGS = {
    "an outcome": (
        "UPDATE batch SET accepted = accepted - 1, duplicate = duplicate + 1 WHERE first_offset = 0",
        "UPDATE batch SET accepted = accepted + 1, duplicate = duplicate - 1 WHERE first_offset = 0",
    ),
    "a range": (
        "UPDATE batch SET first_offset = first_offset - 1, next_offset = next_offset - 1 WHERE partition = 2",
        "UPDATE batch SET first_offset = first_offset + 1, next_offset = next_offset + 1 WHERE partition = 2",
    ),
    "a window's events": (
        "UPDATE usage_window SET events = events + 1, last_offset = last_offset + 1",
        "UPDATE usage_window SET events = events - 1, last_offset = last_offset - 1",
    ),
    "a window's value": (
        "UPDATE usage_window SET value = value + 1",
        "UPDATE usage_window SET value = value - 1",
    ),
    "ids": (
        "UPDATE dedupe_chunk SET entries = entries || entries",
        "UPDATE dedupe_chunk SET entries = substr(entries, 1, length(entries) / 2)",
    ),
    "a meter's sum": (
        "UPDATE batch_meter SET increment_sum = increment_sum + 1",
        "UPDATE batch_meter SET increment_sum = increment_sum - 1",
    ),
}
"""What is done to a ledger, and how it is undone."""


@pytest_asyncio.fixture
async def counted(scenario: Scenario) -> Scenario:
    """A scenario that has counted some records, all is well."""
    await scenario.set_up()
    await scenario.publish(scenario.traffic().records(300))
    await scenario.catch_up()
    return scenario


async def test_doctor_finds_what_was_tampered_with(counted: Scenario) -> None:
    witness = await counted.witness()
    for what, (tamper, undo) in TAMPERINGS.items():
        assert not (await witness.execute(tamper)).endswith(" 0"), what
        doctor = counted.commands.start("doctor", "--json")
        assert await doctor.ended() == FOUND, f"{what}: {doctor.log.read_text()}"
        await witness.execute(undo)
    await is_exact(counted)


async def test_a_ledger_that_ends_elsewhere_than_counting_stops_its_partition(counted: Scenario) -> None:
    await (await counted.witness()).execute("DELETE FROM batch WHERE partition = 3")
    assert await counted.worker("--until-caught-up").ended() == STOPPED
    worker = counted.worker()
    await worker.logged("partition_stopped", code="corrupt_ledger", partition=3)
    await counted.publish(counted.traffic("more").records(300))
    stands = await counted.next_offsets()
    await counted.has_counted(sum(stands.values()) + 100)
    assert (await counted.next_offsets())[3] == stands[3]
