"""Brokers that restart or die, and transactions that leave gaps, while events keep coming."""

import asyncio
from random import Random

from faults.conftest import ScenarioFactory
from faults.producing import producer, send
from faults.proof import is_exact, outcomes
from faults.scenario import Scenario

from metering.dev.kafka.cluster import KafkaCluster
from metering.dev.kafka.server import KafkaServer


async def test_a_broker_restarts(
    scenario_on: ScenarioFactory, own_kafka: KafkaServer, database: str, seed: int
) -> None:
    random = Random(seed)
    scenario = scenario_on(own_kafka.address, database)
    await scenario.set_up()
    await scenario.member()
    await scenario.member()
    async with scenario.flowing(scenario.traffic()):
        await scenario.counts_on(random.randrange(300, 600))
        await own_kafka.stop()
        await own_kafka.start()
        await scenario.counts_on(200)
        own_kafka.kill()
        await own_kafka.start()
        await scenario.counts_on(200)
    await scenario.catch_up()
    await is_exact(scenario)


async def test_the_leader_of_three_brokers_is_killed(
    scenario_on: ScenarioFactory, kafka_cluster: KafkaCluster, database: str, seed: int
) -> None:
    random = Random(seed)
    scenario = scenario_on(kafka_cluster.bootstrap_servers, database, replicas=3)
    await scenario.set_up()
    await scenario.member()
    await scenario.member()
    async with scenario.flowing(scenario.traffic()):
        for victim in random.sample(kafka_cluster.servers, 2):  # each leads some partitions
            await scenario.counts_on(random.randrange(100, 400))
            victim.kill()
            await scenario.counts_on(200)
            await victim.start()
            await scenario.counts_on(200)
    await scenario.catch_up()
    await is_exact(scenario)


async def test_transactions_of_producers_leave_gaps_that_are_accounted_for(
    scenario: Scenario, seed: int
) -> None:
    random = Random(seed)
    await scenario.set_up()
    await scenario.member()
    traffic = scenario.traffic("transactions")
    through = producer(scenario.bootstrap_servers, transactional_id=scenario.rules.name)
    await asyncio.to_thread(through.init_transactions, 30)
    aborted = 0
    async with scenario.flowing(scenario.traffic()):
        for shall_abort in random.sample([True, False] * 6, 12):
            through.begin_transaction()
            count = random.randrange(1, 120)
            await asyncio.to_thread(send, through, scenario.rules.name, traffic.records(count))
            if shall_abort:
                aborted += count
                await asyncio.to_thread(through.abort_transaction, 30)
            else:
                await asyncio.to_thread(through.commit_transaction, 30)
    await scenario.catch_up()
    account = await is_exact(scenario)
    assert outcomes(account)["gap"] > aborted, "each transaction that has ended has left a marker too"
