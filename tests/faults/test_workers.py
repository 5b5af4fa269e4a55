"""Workers that are killed, frozen and stopped, and that come and go, while events keep coming."""

import asyncio
import signal
from random import Random

from faults.conftest import ScenarioFactory
from faults.proof import is_exact
from faults.scenario import Scenario
from oracle.logs import METERS_YAML
from support.postgres_wire import dsn_through, postgres_proxy
from support.processes import CommandProcess
from support.proxy import Link, Rule

KILLS = 3
FREEZES = 2
CHANGES = 6
MOST_WORKERS = 4
UNUSED = "  - {{name: unused-{}, event_type: never, aggregation: count, window: 1h, grace: 0s}}\n"


async def test_workers_and_closers_killed_at_random_points(scenario: Scenario, seed: int) -> None:
    random = Random(seed)
    await scenario.set_up()
    workers = [scenario.worker(), scenario.worker()]
    closers = [scenario.closer(), scenario.closer()]
    async with scenario.flowing(scenario.traffic()):
        for _ in range(KILLS):
            await scenario.counts_on(random.randrange(100, 500))
            await _a_moment(random)
            workers.pop(random.randrange(len(workers))).kill()
            workers.append(scenario.worker())
            closers.pop(random.randrange(len(closers))).kill()
            closers.append(scenario.closer())
    for worker in workers:
        worker.kill()
    await scenario.catch_up()
    await is_exact(scenario)


async def test_a_worker_frozen_beyond_its_session_changes_nothing_and_rejoins(
    scenario: Scenario, seed: int
) -> None:
    random = Random(seed)
    await scenario.set_up()
    zombie, other = await scenario.member(), await scenario.member()
    async with scenario.flowing(scenario.traffic()):
        for _ in range(FREEZES):
            await scenario.counts_on(random.randrange(100, 300))
            await _a_moment(random)
            zombie_claims, other_claims = _claims(zombie), _claims(other)
            zombie.freeze()
            await other.logged("partitions_claimed", count=other_claims + 1)
            await scenario.counts_on(100)
            zombie.thaw()
            await zombie.logged("partitions_claimed", count=zombie_claims + 1)
    await _ends_well(zombie)
    await _ends_well(other)
    await scenario.catch_up()
    await is_exact(scenario)  # the ledger's epochs among the rest: nothing was written after the fence


class HoldFlush(Rule):
    """Keeps the first message of a flush from the server until `release`."""

    def __init__(self) -> None:
        self.happened = asyncio.Event()
        self._released = asyncio.Event()

    def release(self) -> None:
        self._released.set()

    async def from_client(self, piece: bytes, link: Link) -> None:
        if b"BEGIN ISOLATION LEVEL READ COMMITTED" in piece:
            self.happened.set()
            await self._released.wait()
        link.server.write(piece)


async def test_a_flush_that_was_frozen_before_another_claim_is_fenced_after_it(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    """The other one has not counted anything yet: only its claim's epoch can tell."""
    scenario = scenario_on(kafka_bootstrap, database)
    await scenario.set_up()
    proxy = postgres_proxy(database)
    proxy.rule = held = HoldFlush()
    await proxy.listen()
    try:
        zombie = await scenario.member(METERING_POSTGRES_DSN=dsn_through(proxy, database))
        await scenario.publish(scenario.traffic().records(300))
        await held.happened.wait()
        zombie.freeze()
        other = await scenario.member(METERING_FLUSH_INTERVAL_S="600", METERING_FLUSH_RECORDS="1000")
        held.release()
        zombie.thaw()
        await zombie.logged("fenced")
        await _ends_well(other)
        await _ends_well(zombie)
    finally:
        await proxy.close()
    await scenario.catch_up()
    await is_exact(scenario)


async def test_workers_join_and_leave(scenario: Scenario, seed: int) -> None:
    random = Random(seed)
    await scenario.set_up()
    workers = [await scenario.member()]
    async with scenario.flowing(scenario.traffic()):
        for _ in range(CHANGES):
            await scenario.counts_on(random.randrange(50, 200))
            if len(workers) == 1 or (len(workers) < MOST_WORKERS and random.random() < 0.5):
                workers.append(scenario.worker())
            else:
                await _ends_well(workers.pop(random.randrange(len(workers))))
    for worker in workers:
        await _ends_well(worker)
    await scenario.catch_up()
    await is_exact(scenario)


async def test_the_catalog_changes_while_events_are_counted(scenario: Scenario, seed: int) -> None:
    random = Random(seed)
    await scenario.set_up()
    workers = [await scenario.member(), await scenario.member()]
    async with scenario.flowing(scenario.traffic()):
        for number in range(CHANGES // 2):
            await scenario.counts_on(random.randrange(50, 200))
            await scenario.apply_catalog(f"{METERS_YAML}{UNUSED.format(number)}")
            for worker in workers:
                await worker.logged("catalog_loaded", head=number + 2)
    await scenario.catch_up()
    await is_exact(scenario)


async def test_sigterm_drains_and_a_second_one_stops_at_once(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    scenario = scenario_on(kafka_bootstrap, database)
    await scenario.set_up()
    proxy = postgres_proxy(database)
    await proxy.listen()
    held = {"METERING_POSTGRES_DSN": dsn_through(proxy, database), "METERING_DRAIN_DEADLINE_S": "60"}
    try:
        worker = await scenario.member(**held)
        async with scenario.flowing(scenario.traffic()):
            await scenario.counts_on(200)
            worker.send_signal(signal.SIGTERM)
            assert await worker.ended() == 0
            assert worker.events("drained"), "what was taken was flushed"

            worker = await scenario.member(**held)
            await scenario.counts_on(200)
            proxy.freeze()  # a drain cannot end now
            worker.send_signal(signal.SIGTERM)
            await worker.logged("stopping")
            worker.send_signal(signal.SIGTERM)
            assert await worker.ended() == 128 + signal.SIGTERM
            proxy.cut()
            proxy.thaw()
            scenario.worker()
    finally:
        await proxy.close()
    await scenario.catch_up()
    await is_exact(scenario)


async def _a_moment(random: Random) -> None:
    """Any point between two flushes."""
    await asyncio.sleep(random.random() / 10)


def _claims(worker: CommandProcess) -> int:
    return len(worker.events("partitions_claimed"))


async def _ends_well(worker: CommandProcess) -> None:
    await worker.logged("worker_started")  # it obeys signals from then on
    worker.send_signal(signal.SIGTERM)
    assert await worker.ended() == 0
