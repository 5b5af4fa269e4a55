"""Raters freeze, database and broker crash, all else is killed, and somebody reads the feed all the while."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from random import Random
from typing import Final

import pytest
import pytest_asyncio
from faults.billed import apply_terms
from faults.conftest import ScenarioFactory
from faults.feed_reader import FeedReader
from faults.proof import all_is_closed, doctor_is_content
from faults.rated_proof import fed_once, rated_as_recounted
from faults.rated_terms import START_US, catalog
from faults.scenario import DEADLINE_S, Scenario
from oracle.logs import HOUR_US
from support.postgres_wire import asks_to_commit, dsn_through, postgres_proxy
from support.processes import CommandProcess
from support.proxy import Link, Proxy, Rule
from support.topics import unique_name

from aggregator.access import Scope
from aggregator.store import tokens
from aggregator.store.connection import StoreOptions, connect
from metering.dev.conditions import until
from metering.dev.kafka.server import KafkaServer
from metering.dev.ports import free_ports
from metering.dev.postgres.server import PostgresServer

KILLS: Final = 2
CRASHES: Final = 2
RATER: Final = {
    "METERING_RATE_INTERVAL_S": "0.1",
    "METERING_SESSION_TIMEOUT_S": "10",
    "METERING_STATEMENT_TIMEOUT_S": "10",
}
ZOMBIE: Final = RATER | {"METERING_SESSION_TIMEOUT_S": "1"}
"""Has soon been silent for too long."""


class HoldRating(Rule):
    """Keeps the COMMIT of a transaction that tells the feed something from the server, until `release`."""

    def __init__(self) -> None:
        self.happened = asyncio.Event()
        self._released = asyncio.Event()
        self._statement: bytes | None = None
        self._is_told = False

    def release(self) -> None:
        self._released.set()

    async def from_client(self, piece: bytes, link: Link) -> None:
        kind, body = piece[:1], piece[5:]
        if kind == b"P" and b"UPDATE feed_head" in body:
            self._statement = body.split(b"\x00")[0]
        elif kind == b"B" and body.split(b"\x00")[1] == self._statement:
            self._is_told = True
        elif self._is_told and asks_to_commit(piece) and not self.happened.is_set():
            self.happened.set()
            await self._released.wait()
        link.server.write(piece)


class Billing:
    """Usage of days that is counted, closed and rated within seconds, and somebody who reads the feed."""

    def __init__(self, scenario: Scenario, reader: FeedReader, proxy: Proxy) -> None:
        self.scenario = scenario
        self.reader = reader
        self.raters: list[CommandProcess] = []
        self.api = self._api()
        self._workers = [scenario.worker(), scenario.worker()]
        self._closers = [scenario.closer(), scenario.closer()]
        self._proxy = proxy

    def rater(self) -> CommandProcess:
        return self.scenario.commands.start("rate", **RATER)

    def kill_one_of_each(self, random: Random) -> None:
        """Kill a worker, a closer, a rater and the API, and start others in their place."""
        for processes, start in (
            (self._workers, self.scenario.worker),
            (self._closers, self.scenario.closer),
            (self.raters, self.rater),
        ):
            processes.pop(random.randrange(len(processes))).kill()
            processes.append(start())
        self.api.kill()
        self.api = self._api()

    def held_rater(self, environment: Mapping[str, str]) -> tuple[CommandProcess, HoldRating]:
        """A rater that will come to a COMMIT, and no further."""
        self._proxy.rule = held = HoldRating()
        through = dsn_through(self._proxy, self.scenario.dsn)
        return self.scenario.commands.start("rate", **environment, METERING_POSTGRES_DSN=through), held

    async def rates_on(self, versions: int) -> None:
        """Wait until so many more versions are there."""
        rated = "SELECT count(*) FROM rated_total"
        goal = (await self.scenario.answer(rated) or 0) + versions

        async def has_rated() -> bool:
            return (await self.scenario.answer(rated) or 0) >= goal

        assert await until(has_rated, deadline_s=DEADLINE_S), f"not {goal} versions"

    def _api(self) -> CommandProcess:
        return self.scenario.commands.start("api")


@pytest_asyncio.fixture
async def billing(
    scenario_on: ScenarioFactory, own_kafka: KafkaServer, own_postgres: PostgresServer
) -> AsyncIterator[Billing]:
    """On servers of its own: two workers, two closers, two raters and an API."""
    scenario = scenario_on(own_kafka.address, own_postgres.dsn(), clock="record")
    (port,) = free_ports(1)
    scenario.commands.environment |= {
        "METERING_FEED_TOPIC": unique_name(),
        "METERING_API_PORT": str(port),
        "METERING_API_REQUESTS_PER_S": "1000",
        "METERING_API_BURST": "1000",
    }
    await scenario.set_up()
    await apply_terms(scenario, catalog())
    owner = await connect(scenario.dsn, StoreOptions())
    scopes = frozenset({Scope.FEED_READ})
    issued = await tokens.create(owner, "billing", scopes, None, lifetime_us=None, who="tests")
    await owner.close()
    proxy = postgres_proxy(scenario.dsn)
    await proxy.listen()
    billing = Billing(scenario, FeedReader(f"http://127.0.0.1:{port}", issued.text), proxy)
    billing.raters = [billing.rater(), billing.rater()]
    await billing.api.logged("api_listening", deadline_s=DEADLINE_S)
    yield billing
    await proxy.close()


@pytest.mark.timeout(400)  # a dozen faults, and each is waited out
async def test_every_version_is_right_and_told_once_whatever_is_killed_frozen_or_crashed(
    billing: Billing, own_kafka: KafkaServer, own_postgres: PostgresServer, seed: int
) -> None:
    random = Random(seed)
    scenario = billing.scenario
    traffic = scenario.traffic(log_us=START_US)
    async with billing.reader.reading():
        async with scenario.flowing(traffic):
            await _killed_at_random_points(billing, random)
            await _frozen_in_the_middle_of_a_commit(billing)
            await _crashed_in_the_middle_of_a_commit(billing, own_postgres, random)
            await _without_a_broker_for_a_while(billing, own_kafka, random)
        # So that later cuts come, and every partition comes to them.
        traffic.pass_time(40 * HOUR_US)
        await scenario.publish(traffic.records(60, {"timely": 1}))
        await scenario.catch_up()
        await all_is_closed(scenario, await scenario.witness())
        await scenario.commands.run("rate", "--once", deadline_s=DEADLINE_S)
        topic = scenario.commands.environment["METERING_FEED_TOPIC"]
        await _is_pushed(scenario)
        told = await fed_once(scenario, topic)
        await billing.reader.has_read(len(told))
    assert billing.reader.read == {
        "/v1/rated-totals": [one["id"] for one in told if "version" in one],
        "/v1/thresholds": [one["id"] for one in told if "threshold" in one],
    }
    versions = await rated_as_recounted(scenario)
    assert versions > len({one["id"].rpartition("/")[0] for one in told if "version" in one})
    await doctor_is_content(scenario)


async def _killed_at_random_points(billing: Billing, random: Random) -> None:
    for _ in range(KILLS):
        await billing.rates_on(random.randrange(10, 60))
        await asyncio.sleep(random.random() / 10)
        billing.kill_one_of_each(random)
        await billing.reader.is_sent_away()
        await billing.reader.is_answered()


async def _frozen_in_the_middle_of_a_commit(billing: Billing) -> None:
    """Another takes its turn and rates on; what the zombie says then is said to nobody."""
    for rater in billing.raters:
        rater.kill()
    zombie, held = billing.held_rater(ZOMBIE)
    await held.happened.wait()
    zombie.freeze()
    successor = billing.rater()
    await successor.logged("turn_taken")
    await billing.rates_on(20)
    held.release()
    zombie.thaw()
    await zombie.logged("turn_lost")
    await zombie.logged("waiting_for_turn")
    billing.raters = [successor, zombie]


async def _crashed_in_the_middle_of_a_commit(
    billing: Billing, own_postgres: PostgresServer, random: Random
) -> None:
    """The database stops at once, and comes back; the API says so, and goes on by itself."""
    for _ in range(CRASHES):
        for rater in billing.raters:
            rater.kill()
        survivor, held = billing.held_rater(RATER)
        await held.happened.wait()
        await own_postgres.stop("immediate")
        held.release()
        await billing.reader.is_sent_away()
        await own_postgres.start()
        billing.raters = [survivor, billing.rater()]
        await billing.rates_on(random.randrange(10, 60))


async def _without_a_broker_for_a_while(billing: Billing, own_kafka: KafkaServer, random: Random) -> None:
    """Who reads does not notice; a rater that begins meanwhile waits with what it is to push."""
    own_kafka.kill()
    for rater in billing.raters:
        rater.kill()
    waiting = billing.rater()
    await waiting.logged("feed_waiting", deadline_s=DEADLINE_S)
    await billing.reader.is_answered()
    await own_kafka.start()
    billing.raters = [waiting, billing.rater()]
    await billing.rates_on(random.randrange(10, 60))


async def _is_pushed(scenario: Scenario) -> None:
    """Wait until the topic has the whole feed."""

    async def is_pushed() -> bool:
        lacking = "SELECT h.position - coalesce((SELECT max(position) FROM feed_push), 0) FROM feed_head AS h"
        return await scenario.answer(lacking) == 0

    assert await until(is_pushed, deadline_s=DEADLINE_S)
