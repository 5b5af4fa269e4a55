"""What producers do wrong: copies, contradictions, noise, and records in the wrong partitions."""

import signal
from random import Random

from faults.conftest import ScenarioFactory
from faults.proof import codes, is_exact, outcomes
from faults.scenario import Scenario
from faults.topic_log import murmur2_partition
from faults.traffic import SUBJECTS
from oracle.logs import START_US

from metering.dev.conditions import until
from schemas.partitioner import crc32_partition

WITHDRAWALS = {"new": 40, "void": 20, "old_void": 10, "false_void": 10, "recent_copy": 10, "misplaced": 2}
COPIES = {"new": 30, "recent_copy": 30, "old_copy": 30, "conflict": 10}
STORM = 5_000
OUTBOX_TAKEN = "SELECT pg_advisory_xact_lock(hashtextextended('outbox of ' || current_schema(), 0))"


async def test_a_producer_with_another_partitioner_is_put_right(scenario: Scenario) -> None:
    partitions = scenario.rules.partitions
    astray = [
        subject
        for subject in SUBJECTS
        if crc32_partition(subject.encode(), partitions) != murmur2_partition(subject, partitions)
    ]
    await scenario.set_up()
    traffic = scenario.traffic(subjects=astray)
    await scenario.publish(traffic.records(400, {"new": 1}), partitioner="consistent_random")
    await scenario.publish(traffic.records(100, {"old_copy": 1}))  # as the repairs will be: not misplaced
    # Hundreds of repairs are published at once, and counted little by little.
    await scenario.catch_up(METERING_FLUSH_RECORDS="25", METERING_BUFFER_RECORDS="25")
    account = await is_exact(scenario)
    assert codes(account)["misplaced"] == 400
    assert outcomes(account)["accepted"] > 200


async def test_caught_up_means_that_what_others_shall_republish_is_counted_too(scenario: Scenario) -> None:
    await scenario.set_up()
    await scenario.publish(scenario.traffic().records(100, {"new": 9, "misplaced": 1}))
    witness = await scenario.witness()
    async with witness.transaction():
        await witness.execute(OUTBOX_TAKEN)
        worker = scenario.worker("--until-caught-up")
        await scenario.has_counted(100)

        async def has_ended() -> bool:
            return worker.exit_code is not None

        assert not await until(has_ended, deadline_s=2)
    assert await worker.ended() == 0
    account = await is_exact(scenario)
    assert codes(account)["misplaced"] > 0


async def test_copies_and_conflicts_across_batches_workers_and_restarts(
    scenario: Scenario, seed: int
) -> None:
    random = Random(seed)
    await scenario.set_up()
    workers = [await scenario.member(), await scenario.member()]
    async with scenario.flowing(scenario.traffic(), COPIES):
        for _ in range(4):
            await scenario.counts_on(random.randrange(100, 300))
            worker = workers.pop(random.randrange(2))
            worker.send_signal(signal.SIGTERM)
            assert await worker.ended() == 0
            workers.append(await scenario.member())
    await scenario.catch_up()
    account = await is_exact(scenario)
    assert outcomes(account)["duplicate"] > outcomes(account)["accepted"] / 2
    assert codes(account)["conflict"] > 0


async def test_what_is_withdrawn_is_taken_back_once_while_workers_are_killed(
    scenario: Scenario, seed: int
) -> None:
    random = Random(seed)
    await scenario.set_up()
    workers = [await scenario.member(), await scenario.member()]
    async with scenario.flowing(scenario.traffic(), WITHDRAWALS):
        for _ in range(3):
            await scenario.counts_on(random.randrange(100, 300))
            workers.pop(random.randrange(2)).send_signal(signal.SIGKILL)
            workers.append(await scenario.member())
    await scenario.catch_up()
    account = await is_exact(scenario)
    for meter in ("tokens", "calls", "level"):
        assert 0 < account.meter_outcomes[meter, "void"] < account.meter_outcomes[meter, "increment"]
    assert outcomes(account)["duplicate"] > 0
    assert codes(account)["void_differs"] > 0


async def test_copies_that_come_when_their_ids_are_forgotten(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    """On the records' own clock days go by: what is too old to be known is refused, never counted again."""
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    await scenario.set_up()
    traffic = scenario.traffic(log_us=START_US)
    for _ in range(4):
        await scenario.publish(traffic.records(500))
        traffic.pass_time(scenario.rules.acceptance_window_us * 2)
        await scenario.catch_up()
    account = await is_exact(scenario)
    assert codes(account)["too_old"] > 0
    assert outcomes(account)["duplicate"] > 0
    assert account.adjustments


async def test_a_storm_of_poison_is_kept_and_the_partitions_go_on(scenario: Scenario) -> None:
    await scenario.set_up()
    await scenario.member(METERING_FLUSH_RECORDS="2500", METERING_BUFFER_RECORDS="5000")
    traffic = scenario.traffic()
    await scenario.publish(traffic.records(300))
    await scenario.publish(traffic.records(STORM, {"poison": 2000, "oversize": 1}))
    await scenario.publish(traffic.records(300))
    await scenario.has_counted(STORM + 600)
    await scenario.catch_up()
    account = await is_exact(scenario)
    assert outcomes(account)["quarantined"] >= STORM
    assert codes(account)["oversize"] > 0
