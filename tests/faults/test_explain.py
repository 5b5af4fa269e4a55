"""What was counted of a troubled log is found again in the log, window by window, by other means."""

import json
from typing import Any

from faults.billed import billed, rated
from faults.conftest import ScenarioFactory
from faults.scenario import Scenario
from oracle.logs import METERS, rfc3339

from aggregator.store.connection import Connection, StoreOptions, connect
from metering.explain.amounts import explain_total
from metering.explain.windows import Explained, Question, explain
from metering.settings import Settings
from schemas.instant import parse_time_us

FOUND = 1
LONG_AGO_US = 0
FAR_US = 4_000_000_000_000_000


async def everything(scenario: Scenario) -> Explained:
    """Every window that there is, explained."""
    connection = await connected(scenario)
    try:
        subjects = [row["subject"] for row in await connection.fetch("SELECT DISTINCT subject FROM series")]
        question = Question([meter.name for meter in METERS], subjects, LONG_AGO_US, FAR_US)
        return await explain(connection, settings(scenario), [question])
    finally:
        await connection.close()


async def connected(scenario: Scenario) -> Connection:
    return await connect(scenario.dsn, StoreOptions())


def settings(scenario: Scenario) -> Settings:
    return Settings(kafka_bootstrap_servers=scenario.bootstrap_servers, topic=scenario.rules.name)


async def test_the_log_says_the_same_of_every_window(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    """Copies, conflicts, noise, misplaced and late events, and a cardinality limit among the rest."""
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    await scenario.set_up()
    await scenario.publish(scenario.traffic(log_us=1_780_000_000_000_000).records(3_000))
    await scenario.catch_up()
    found = await everything(scenario)
    assert found.is_equal, [account for account in found.accounts if not account.is_equal][:5]
    kinds = [account.kind for account in found.accounts]
    assert kinds.count("window") > 500
    assert kinds.count("late") > 50
    assert kinds.count("void") > 10
    assert any(account.key.groups is None for account in found.accounts), "nothing went to `other`"
    assert all(account.batches for account in found.accounts)


async def test_what_was_tampered_with_is_named(scenario: Scenario) -> None:
    await scenario.set_up()
    await scenario.publish(scenario.traffic().records(600))
    await scenario.catch_up()
    witness = await scenario.witness()
    (subject, start_us, offset) = await witness.fetchrow(
        "UPDATE usage_window SET value = value + 2 WHERE (series_id, window_start, shard) IN ("
        " SELECT series_id, window_start, shard FROM usage_window JOIN series USING (series_id)"
        " JOIN meter_version USING (meter_version_id) WHERE meter = 'tokens' ORDER BY events DESC LIMIT 1)"
        " RETURNING (SELECT subject FROM series AS s WHERE s.series_id = usage_window.series_id),"
        " (extract(epoch FROM window_start) * 1000000)::bigint, first_offset"
    )
    found = await everything(scenario)
    (wrong,) = [account for account in found.accounts if not account.is_equal]
    assert (wrong.key.subject, wrong.key.start_us, wrong.offsets[0]) == (subject, start_us, offset)
    assert wrong.stored is not None
    assert wrong.recounted is not None
    assert wrong.stored["value"] == wrong.recounted["value"] + 2

    arguments = ["tokens", subject, rfc3339(start_us)]
    explained = await run(scenario, *arguments, exits=FOUND)
    *windows, summary = explained
    assert [one["equal"] for one in windows].count(False) == summary["different"] == 1
    await witness.execute("UPDATE usage_window SET value = value - 2 WHERE first_offset = $1", offset)
    assert (await run(scenario, *arguments))[-1]["equal"]


async def run(scenario: Scenario, *arguments: str, exits: int = 0) -> list[dict[str, Any]]:
    """What `metering explain --window` says."""
    explaining = scenario.commands.start("explain", "--window", *arguments, "--json")
    assert await explaining.ended() == exits, explaining.log.read_text()
    return [json.loads(line) for line in explaining.output.read_text().splitlines()]


async def test_rated_totals_come_to_the_same_from_the_log(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    """Every version of every period, whatever its roll-ups and prices, by a second implementation."""
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    await billed(scenario, 1_000)
    totals = await rated(scenario)
    connection = await connected(scenario)
    try:
        for total in totals[:12]:
            start_us = parse_time_us(total["period"]["start"])
            found = await explain_total(
                connection, settings(scenario), total["subscription"], start_us, total["version"]
            )
            assert found.is_equal, [
                one for one in [*found.lines, *found.windows.accounts] if not one.is_equal
            ][:3]
    finally:
        await connection.close()

    total = next(one for one in totals if one["segments"][0]["charges"][1]["lines"])
    name = f"{total['subscription']}/{total['period']['start']}/{total['version']}"
    *lines, summary = await explained(scenario, name)
    assert summary["equal"]
    assert {line["what"] for line in lines} >= {"line", "charge", "segment", "total", "window"}

    # A document that says otherwise, with a digest that fits: only the log can tell.
    witness = await scenario.witness()
    wrong = json.loads(json.dumps(total))
    wrong["segments"][0]["charges"][1]["lines"][0]["amount"] = "4711"
    text = json.dumps(wrong, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    await witness.execute("SET session_replication_role = replica")  # without triggers
    await witness.execute(
        "UPDATE rated_total SET document = $4::json, digest = sha256(convert_to($4::text, 'UTF8'))"
        " WHERE subscription = $1 AND period_start = to_timestamp($2) AND version = $3",
        total["subscription"],
        parse_time_us(total["period"]["start"]) / 1e6,
        total["version"],
        text,
    )
    *lines, summary = await explained(scenario, name, exits=FOUND)
    assert not summary["equal"]
    (line,) = [line for line in lines if line.get("equal") is False]
    assert (line["what"], line["charge"], line["stored"]["amount"]) == ("line", "tokens", "4711")


async def explained(scenario: Scenario, name: str, *, exits: int = 0) -> list[dict[str, Any]]:
    """What `metering explain` says of a rated total."""
    explaining = scenario.commands.start("explain", name, "--json")
    assert await explaining.ended(deadline_s=60) == exits, explaining.log.read_text()
    return [json.loads(line) for line in explaining.output.read_text().splitlines()]
