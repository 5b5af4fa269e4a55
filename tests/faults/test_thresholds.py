"""Thresholds from the event to who reads of them over HTTP, SQL and Kafka: news once each."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

import asyncpg
import pytest_asyncio
import requests
from faults.billed import apply_terms
from faults.conftest import ScenarioFactory
from faults.scenario import DEADLINE_S, Scenario
from faults.topic_log import read_topic
from faults.traffic import Sent
from oracle.logs import METERS_YAML, structured
from oracle.recount import SpokenEvent
from support.topics import unique_name

from aggregator.access import Scope
from aggregator.store import tokens
from aggregator.store.connection import StoreOptions, connect
from metering.dev.conditions import until
from metering.dev.ports import free_ports

YEAR: Final = datetime.now(UTC).year
CATALOG: Final = f"""{METERS_YAML}
plans:
  - name: pro
    currency: EUR
    rounding: {{places: 2}}
    charges: [{{name: input, meter: tokens, included: 100, price: {{model: per_unit, unit_price: 2}}}}]
subscriptions:
  - {{name: acme-pro, customer: acme, subjects: [acme], plan: pro, start: {YEAR}-01-01T00:00:00Z,
     billing_period: year,
     thresholds: [{{charge: input, percent: 80}}, {{charge: input, percent: 100}}, {{amount: 50}}]}}
"""
NEWS: Final = [
    f"acme-pro/{YEAR}-01-01T00:00:00Z/{threshold}" for threshold in ("input 80%", "input 100%", "amount 50")
]
RATER: Final = {"METERING_RATE_INTERVAL_S": "0.1"}


class Usage:
    """What acme uses, event by event."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._numbers = count()

    async def used(self, quantity: int) -> None:
        """Publish an event, and wait until it is counted."""
        now_us = round(datetime.now(UTC).timestamp() * 1_000_000)
        data = {"n": quantity, "model": "small"}
        event = SpokenEvent("/tests", str(next(self._numbers)), "call", "acme", now_us, data)
        await self._scenario.publish([Sent(event.subject.encode(), structured(event))])
        await self._scenario.has_counted(self._scenario.published)

    async def is_news(self, thresholds: int) -> None:
        """Wait until so many thresholds are told."""

        async def is_told() -> bool:
            return bool(await self._scenario.answer("SELECT count(*) FROM feed") == thresholds)

        assert await until(is_told, deadline_s=DEADLINE_S), f"not {thresholds} thresholds"


@pytest_asyncio.fixture
async def scenario(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> AsyncIterator[Scenario]:
    scenario = scenario_on(kafka_bootstrap, database)
    await scenario.set_up()
    await apply_terms(scenario, CATALOG)
    scenario.commands.environment["METERING_FEED_TOPIC"] = unique_name()
    await scenario.member()
    yield scenario


async def test_each_is_news_once_also_when_the_rater_was_killed_between(scenario: Scenario) -> None:
    usage = Usage(scenario)
    rater = scenario.commands.start("rate", **RATER)
    await usage.used(79)
    await usage.used(1)
    await usage.is_news(1)
    rater.kill()
    await usage.used(20)
    rater = scenario.commands.start("rate", **RATER)
    await usage.is_news(2)
    await usage.used(24)
    await usage.used(1)
    await usage.is_news(3)
    rater.kill()
    await usage.used(500)
    await scenario.commands.run("rate", "--once")

    assert await over_http(scenario) == NEWS
    assert await over_sql(scenario) == NEWS
    (pushed,) = read_topic(
        scenario.bootstrap_servers, scenario.commands.environment["METERING_FEED_TOPIC"], 1
    )
    events = [json.loads(record.value or b"") for record in pushed.records]
    assert [(event["type"], event["feedposition"], event["id"]) for event in events] == [
        ("metering.threshold_crossed", position, id_) for position, id_ in enumerate(NEWS, start=1)
    ]


async def over_http(scenario: Scenario) -> list[str]:
    """The ids that a token of acme reads."""
    (port,) = free_ports(1)
    api = scenario.commands.start("api", METERING_API_PORT=str(port))
    await api.logged("api_listening")
    owner = await connect(scenario.dsn, StoreOptions())
    scopes = frozenset({Scope.FEED_READ})
    issued = await tokens.create(owner, "acme", scopes, {"acme"}, lifetime_us=None, who="tests")
    await owner.close()
    answer: Any = await asyncio.to_thread(
        requests.get,
        f"http://127.0.0.1:{port}/v1/thresholds",
        headers={"Authorization": f"Bearer {issued.text}"},
        timeout=30,
    )
    return [one["id"] for one in answer.json()["data"]]


async def over_sql(scenario: Scenario) -> list[str]:
    """The ids that finance reads, who sees the views alone."""
    reader = await asyncpg.connect(scenario.dsn, server_settings={"role": "billing_reader"})
    try:
        rows = await reader.fetch("SELECT position, kind, id FROM billing.feed ORDER BY position")
    finally:
        await reader.close()
    assert {row["kind"] for row in rows} == {"threshold"}
    return [row["id"] for row in rows]
