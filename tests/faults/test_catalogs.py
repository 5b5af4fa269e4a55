"""Meters that change while they are counted: each version has the events of its own times."""

import time
from dataclasses import replace
from functools import reduce

from faults.conftest import ScenarioFactory
from faults.proof import is_exact
from faults.scenario import Scenario
from oracle.logs import HOUR_US, METERS, METERS_YAML, MINUTE_US
from oracle.recount import SpokenMeter

_CHANGES = {
    "aggregation: count, window: 15m, grace: 0s": "aggregation: count, window: 5m, grace: 30m",
    "grace: 30m,\n     cardinality_limit: 2": "grace: 1h,\n     cardinality_limit: 3",
}
CHANGED_YAML = reduce(lambda text, change: text.replace(*change), _CHANGES.items(), METERS_YAML)
CHANGED = [
    replace(METERS[0], grace_us=HOUR_US, cardinality_limit=3),
    replace(METERS[1], window_us=5 * MINUTE_US, grace_us=30 * MINUTE_US),
]


async def test_meters_that_change_in_the_middle_of_a_log(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    await scenario.set_up()
    traffic = scenario.traffic(log_us=time.time_ns() // 1000 - 120 * HOUR_US)
    await scenario.publish(traffic.records(300))
    await scenario.catch_up()
    await is_exact(scenario)

    await scenario.apply_catalog(CHANGED_YAML)
    starts_us = await _starts_us(scenario)
    assert set(starts_us) == {"tokens", "calls"}
    scenario.meters = _versions(starts_us)
    worker = await scenario.member()
    await scenario.publish(traffic.records(500))
    await scenario.counts_on(200)
    worker.kill()
    await scenario.catch_up()
    await is_exact(scenario)

    witness = await scenario.witness()
    assert await witness.fetchval(
        "SELECT min(frontier) > (SELECT max(effective_from) FROM meter_version) FROM ingest_partition"
    )
    counted = await witness.fetch(
        """
        SELECT meter, version FROM usage_window JOIN series USING (series_id) JOIN meter_version
        USING (meter_version_id) WHERE meter IN ('tokens', 'calls') GROUP BY 1, 2 ORDER BY 1, 2
        """
    )
    assert [tuple(row) for row in counted] == [("calls", 1), ("calls", 2), ("tokens", 1), ("tokens", 2)]


async def _starts_us(scenario: Scenario) -> dict[str, int]:
    """Since when the second versions are in force, by meter."""
    rows = await (await scenario.witness()).fetch(
        """
        SELECT meter, (extract(epoch FROM effective_from) * 1000000)::bigint AS start_us
        FROM meter_version WHERE version = 2
        """
    )
    return {row["meter"]: row["start_us"] for row in rows}


def _versions(starts_us: dict[str, int]) -> list[SpokenMeter]:
    """Every version of every meter, each with its span."""
    old = [replace(meter, until_us=starts_us.get(meter.name, meter.until_us)) for meter in METERS]
    return old + [replace(meter, from_us=starts_us[meter.name]) for meter in CHANGED]
