"""A database that crashes, freezes, or leaves a COMMIT in doubt, while events keep coming."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from random import Random

import asyncpg
import pytest_asyncio
from faults.conftest import ScenarioFactory
from faults.proof import codes, is_exact
from faults.scenario import DEADLINE_S, Scenario
from faults.topic_log import EXPECTED_CODE
from support.postgres_wire import (
    CommitFault,
    HoldCommit,
    HoldFlush,
    LoseCommitReply,
    SwallowCommit,
    dsn_through,
    postgres_proxy,
)
from support.processes import CommandProcess
from support.proxy import Proxy, Rule

from metering.dev.conditions import until
from metering.dev.postgres.server import PostgresServer

FLUSH_MESSAGES = 20
"""That a client sends after BEGIN: about two a statement, and never fewer in a flush."""

DOUBTS: list[Callable[[], CommitFault]] = [
    LoseCommitReply,
    SwallowCommit,
    partial(LoseCommitReply, then="silence"),
    HoldCommit,
]


@pytest_asyncio.fixture
async def on_own_postgres(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, own_postgres: PostgresServer
) -> Scenario:
    """Two workers and a closer on a database server of their own."""
    scenario = scenario_on(kafka_bootstrap, own_postgres.dsn())
    await scenario.set_up()
    scenario.closer()
    await scenario.member()
    await scenario.member()
    return scenario


async def test_a_database_that_crashes_in_the_middle_of_a_flush(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, own_postgres: PostgresServer, seed: int
) -> None:
    random = Random(seed)
    proxy = postgres_proxy(own_postgres.dsn())
    await proxy.listen()
    scenario = scenario_on(kafka_bootstrap, own_postgres.dsn())
    await scenario.set_up()
    scenario.closer()
    for _ in range(2):
        await scenario.member(METERING_POSTGRES_DSN=dsn_through(proxy, own_postgres.dsn()))
    async with scenario.flowing(scenario.traffic()):
        for _ in range(3):
            await scenario.counts_on(random.randrange(100, 400))
            flush = HoldFlush(random.randrange(FLUSH_MESSAGES))
            proxy.rule = flush
            await flush.happened.wait()
            await own_postgres.stop("immediate")
            flush.release()
            proxy.rule = Rule()
            await own_postgres.start()
            await scenario.counts_on(300)
    await scenario.catch_up()
    await is_exact(scenario)
    await proxy.close()


async def test_a_database_frozen_for_longer_than_any_statement_may_take(
    on_own_postgres: Scenario, own_postgres: PostgresServer, seed: int
) -> None:
    random = Random(seed)
    scenario = on_own_postgres
    async with scenario.flowing(scenario.traffic()):
        await scenario.counts_on(random.randrange(100, 400))
        await asyncio.sleep(random.random() / 10)
        own_postgres.freeze()
        await asyncio.gather(*(_finds_the_database_away(worker) for worker in scenario.workers))
        own_postgres.thaw()
        await scenario.counts_on(300)
    await scenario.catch_up()
    await is_exact(scenario)


async def _finds_the_database_away(worker: CommandProcess) -> None:
    await worker.logged("server_away", count=len(worker.events("server_away")) + 1)


@pytest_asyncio.fixture
async def proxy(database: str) -> AsyncIterator[Proxy]:
    proxy = postgres_proxy(database)
    await proxy.listen()
    yield proxy
    await proxy.close()


async def test_commits_in_doubt(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str, proxy: Proxy, seed: int
) -> None:
    random = Random(seed)
    scenario = scenario_on(kafka_bootstrap, database)
    await scenario.set_up()
    worker = await scenario.member(METERING_POSTGRES_DSN=dsn_through(proxy, database))
    async with scenario.flowing(scenario.traffic()):
        for new_doubt in random.sample(DOUBTS, len(DOUBTS)):
            await scenario.counts_on(random.randrange(50, 200))
            while not await _is_in_doubt(worker, proxy, new_doubt()):
                pass  # it was a commit of the outbox
            await scenario.counts_on(100)
    resolutions = {line["resolution"] for line in worker.events("unknown_outcome_resolved")}
    assert resolutions == {"committed", "retry"}
    await scenario.catch_up()
    await is_exact(scenario)


async def _is_in_doubt(worker: CommandProcess, proxy: Proxy, doubt: CommitFault) -> bool:
    """Harm the next commit; whether it was a flush's. Either is found out by the worker."""
    flushes = len(worker.events("unknown_outcome"))
    others = len(worker.events("server_away", work="drain the outbox"))

    async def is_noticed() -> bool:
        return (
            len(worker.events("unknown_outcome")) > flushes
            or len(worker.events("server_away", work="drain the outbox")) > others
        )

    proxy.rule = doubt
    await doubt.happened.wait()
    assert await until(is_noticed, deadline_s=DEADLINE_S)
    proxy.rule = Rule()
    if isinstance(doubt, HoldCommit):
        doubt.release()  # only now that it was given up
    is_flush = len(worker.events("unknown_outcome")) > flushes
    if is_flush:
        await worker.logged("unknown_outcome_resolved", count=flushes + 1)
    return is_flush


CURSE = """
    CREATE FUNCTION curse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'no such subject' USING ERRCODE = 'data_exception';
    END $$;
    CREATE TRIGGER cursed BEFORE INSERT ON series FOR EACH ROW WHEN (NEW.subject = 'cursed')
    EXECUTE FUNCTION curse();
"""


async def test_values_that_the_database_refuses_are_found_and_the_rest_is_counted(
    scenario: Scenario, seed: int
) -> None:
    random = Random(seed)
    await scenario.set_up()
    await (await scenario.witness()).execute(CURSE)
    cursed = [
        record._replace(headers=[*record.headers, (EXPECTED_CODE, b"store_rejected")])
        for record in scenario.traffic("cursed", subjects=["cursed"]).records(5, {"timely": 1})
    ]
    records = [*scenario.traffic().records(1000), *cursed]
    random.shuffle(records)
    await scenario.publish(records)
    await scenario.catch_up()
    account = await is_exact(scenario)
    assert codes(account)["store_rejected"] == len(cursed)


async def test_two_migrations_at_once(scenario: Scenario) -> None:
    migrations = [scenario.commands.start("migrate", "--json") for _ in range(2)]
    printed = [await migration.succeeded() for migration in migrations]
    assert sorted(text == '{"applied": []}\n' for text in printed) == [False, True], (
        "one of them had it all to do"
    )
    await scenario.set_up()
    await scenario.publish(scenario.traffic().records(300))
    await scenario.catch_up()
    await is_exact(scenario)


async def test_migrations_of_two_databases_at_once(scenario: Scenario) -> None:
    """They share the roles, which belong to the server."""
    other = scenario.dsn + "_other"
    admin = await asyncpg.connect(scenario.dsn)
    name = other.rpartition("/")[2]
    await admin.execute(f"CREATE DATABASE {name}")
    try:
        here = scenario.commands.start("migrate")
        there = scenario.commands.start("migrate", METERING_POSTGRES_DSN=other)
        await here.succeeded()
        await there.succeeded()
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()
