"""Every query of every dashboard, asked of a real Prometheus and a real Postgres, with data in them.

Two pipelines run: one by the events' own time, so that hours are final and rated within seconds, and one by
the brokers' clock, which alone tells latency, freshness and how long Kafka keeps what is not counted.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
import pytest
import pytest_asyncio
from integration.cli.fixtures import Metering, write
from support.dashboards import Query, as_promql, as_sql, dashboards, postgres_queries, prometheus_queries
from support.processes import CommandProcess, Commands
from support.prometheus import SHIPPED, Prometheus, prometheus
from support.topics import delete_topics, unique_name

from metering.dev.conditions import until

TOPIC: Final = "name: events\npartitions: 2\nclock: record\nretention_ms: -1\n"
BROKERS_TOPIC: Final = "name: events\npartitions: 1\n"
METERS: Final = """\
meters:
  - {name: tokens, event_type: call, aggregation: sum, value: n, window: 1h, grace: 15m}
"""
TERMS: Final = """\
plans:
  - name: pro
    currency: EUR
    rounding: {places: 2}
    charges:
      - {name: input, meter: tokens, included: 10, price: {model: per_unit, unit_price: 0.5}}
subscriptions:
  - name: acme-pro
    customer: acme
    subjects: [acme]
    plan: pro
    start: 2023-11-16T18:00:00Z
    billing_period: hour
    thresholds: [{charge: input, percent: 100}]
"""

COMMANDS: Final = {
    "closer": "close",
    "rater": "rate",
    "observer": "observe",
    "auditor": "prove",
    "api": "api",
}
PROCESSES: Final = {
    "METERING_ADMIN_PORT": "0",
    "METERING_API_PORT": "0",
    "METERING_LOG_FORMAT": "json",
    "METERING_OBSERVE_INTERVAL_S": "1",
    "METERING_PROVE_INTERVAL_S": "1",
}

WITHOUT_DATA: Final = {
    "Alerts/A": "nothing need fire",
    "Stopped partitions/A": "no partition is stopped",
    "What blocks finality/A": "no partition holds another back",
    "Silent meters/A": "the meter has too little of a past",
    "Oldest transaction/A": "no transaction is open",
    "Steps of a batch/D": "nothing old is loaded",
}
"""Queries that need no answer in this scenario, and why."""


def event(number: int, time: str, *, subject: str = "acme", tokens: int = 1) -> str:
    fields = {"specversion": "1.0", "id": f"{number}", "source": "tests", "type": "call", "subject": subject}
    return json.dumps({**fields, "time": f"{time}:00Z", "data": {"n": tokens}})


FIRST: Final = (
    event(0, "2023-11-16T17:50"),  # before the subscription begins: nobody pays for it
    *(event(number, f"2023-11-16T18:{number:02}") for number in range(1, 21)),
    event(1, "2023-11-16T18:01"),  # a copy
    event(2, "2023-11-16T18:02", tokens=7),  # a conflict
)
THEN: Final = (event(30, "2023-11-16T18:30"),)
LATE: Final = (event(31, "2023-11-16T18:10", tokens=5), event(2, "2023-11-16T18:02", tokens=8))
LAST: Final = (event(32, "2023-11-16T20:50"),)
ACCEPTED: Final = 21 + 3
TOKENS: Final = ACCEPTED - 1 + 5
AMOUNT: Final = (20 + 1 + 5 - 10) * Decimal("0.5")  # in the hour from 18:00; later ones use what is included


class Reader(NamedTuple):
    """Somebody who asks the API."""

    port: int
    token: str

    def ask(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/v1/rated-totals", headers={"authorization": f"Bearer {self.token}"})
            assert connection.getresponse().status == 200
        finally:
            connection.close()


@pytest_asyncio.fixture
async def by_brokers_clock(
    commands: Commands, settings: dict[str, str], kafka_bootstrap: str, tmp_path: Path
) -> AsyncIterator[dict[str, str]]:
    """The settings of the second pipeline, which has a topic of its own and a schema in the same database."""
    write("brokers.yaml", BROKERS_TOPIC)
    write("meters.yaml", METERS)
    environment = settings | {
        "METERING_TOPIC": unique_name(),
        "METERING_TOPIC_FILE": str(tmp_path / "brokers.yaml"),
        "METERING_POSTGRES_SCHEMA": "by_brokers",
    }
    await commands.run("migrate", **environment)
    await commands.run("topics", "apply", **environment)
    await commands.run("catalog", "apply", str(tmp_path / "meters.yaml"), **environment)
    yield environment
    await delete_topics(kafka_bootstrap, [environment["METERING_TOPIC"]])


@pytest.mark.timeout(300)  # two pipelines, and scrapes every five seconds
async def test_every_query_has_data(
    metering: Metering,
    commands: Commands,
    settings: dict[str, str],
    by_brokers_clock: dict[str, str],
    tmp_path: Path,
) -> None:
    write("topic.yaml", TOPIC)
    write("metering.toml", 'topic_file = "topic.yaml"\n')
    write("catalog.yaml", METERS + TERMS)
    now = datetime.now(UTC).isoformat()[:16]
    steps = {"first": FIRST, "then": THEN, "late": LATE, "last": LAST, "now": (event(0, now),)}
    for name, events in steps.items():
        write(f"{name}.jsonl", "\n".join(events) + "\n")
    await metering("migrate")
    await metering("topics", "apply")
    await metering("catalog", "apply", "catalog.yaml")
    created = await metering(
        "token", "create", "reader", "--scopes", "rated:read,feed:read", "--customers", "acme"
    )
    token = created.out.splitlines()[-1]
    await metering("publish", "first.jsonl")

    commands.environment |= PROCESSES
    database = await asyncpg.connect(settings["METERING_POSTGRES_DSN"])
    running = {"worker": [commands.start("worker"), commands.start("worker", **by_brokers_clock)]}
    await becomes(database, "SELECT count(*) FROM metering.quarantine", 1)
    running |= {process: [commands.start(command)] for process, command in COMMANDS.items()}
    running["observer"].append(commands.start("observe", **by_brokers_clock))
    targets = {name: [await port(each, "admin") for each in all_] for name, all_ in running.items()}
    async with prometheus(tmp_path / "prometheus", targets) as server:

        async def all_are_scraped() -> bool:
            return await server.scrapes(targets)

        assert await until(all_are_scraped, deadline_s=60)
        await metering("publish", "then.jsonl", "--tick-after", "2h")

        async def a_rating_is_seen() -> bool:
            return await server.query("sum(metering_rate_duration_seconds_count) > 0") != []

        assert await until(a_rating_is_seen, deadline_s=60)
        await metering("publish", "late.jsonl")
        await metering("publish", "last.jsonl", "--tick-after", "2h")
        await commands.run("publish", str(tmp_path / "now.jsonl"), **by_brokers_clock)
        await becomes(database, "SELECT max(version) FROM billing.rated_total", 2)
        await every_panel_of_prometheus_has_data(server, Reader(await port(running["api"][0], "api"), token))
        (accepted,) = await server.query('sum(metering_events_total{outcome="accepted"})')
        assert accepted.value == ACCEPTED + 1
    await every_panel_of_a_customer_has_data(database)
    await database.close()


async def every_panel_of_prometheus_has_data(server: Prometheus, reader: Reader) -> None:
    """Wait until each query has an answer but those that cannot have one; all are understood."""
    without: set[str] = set()

    async def all_the_others_have() -> bool:
        nonlocal without
        await asyncio.to_thread(reader.ask)
        without = {query.place for query in prometheus_queries() if not await has_data(server, query)}
        return without <= WITHOUT_DATA.keys()

    assert await until(all_the_others_have, deadline_s=60), without - WITHOUT_DATA.keys()


async def has_data(server: Prometheus, query: Query) -> bool:
    """Whether a series has a value that is a number."""
    return any(not math.isnan(one.value) for one in await server.query(as_promql(query.text)))


async def every_panel_of_a_customer_has_data(database: asyncpg.Connection) -> None:
    """As Grafana's own login, which sees nothing else."""
    await database.execute((SHIPPED / "grafana" / "login.sql").read_text())
    await database.execute("SET ROLE grafana")
    (customers,) = dashboards()["metering-customer"]["templating"]["list"]
    assert await database.fetch(customers["query"]) == [("acme",)]
    rows = {query.panel: await database.fetch(as_sql(query.text, "acme")) for query in postgres_queries()}
    assert [panel for panel, found in rows.items() if not found] == []
    assert sum(row["value"] for row in rows["Usage by meter"]) == TOKENS
    assert sum(row["value"] for row in rows["Amounts of periods"]) == AMOUNT
    assert [row["difference"] for row in rows["Versions"] if row["version"] == 2] == ["2.5"]
    others = [await database.fetch(as_sql(query.text, "o'neill")) for query in postgres_queries()]
    assert others == [[]] * len(others)


async def becomes(database: asyncpg.Connection, sql: str, value: int) -> None:
    """Wait until a statement gives this value."""

    async def is_so() -> bool:
        return await database.fetchval(sql) == value

    assert await until(is_so, deadline_s=60), sql


async def port(process: CommandProcess, of: str) -> int:
    found: int = (await process.logged(f"{of}_listening"))["port"]
    return found
