"""Plans and subscriptions on the oracle's meters, and what it takes until their periods are rated."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from faults.scenario import Scenario
from faults.traffic import Sent
from oracle.logs import HOUR_US, METERS_YAML, MINUTE_US, structured
from oracle.recount import SpokenEvent

from aggregator.applying.billing_change import Wanted
from aggregator.store import price_changes
from aggregator.store.connection import StoreOptions, connect
from schemas.catalog import load_catalog
from schemas.control import tick

START_US: Final = 1_780_012_800_000_000
"""Midnight, UTC: periods are days."""

_LATE_US: Final = 23 * HOUR_US + 50 * MINUTE_US
_PAST_US: Final = 26 * HOUR_US + 20 * MINUTE_US

PLAN: Final = """
plans:
  - name: pro
    currency: USD
    rounding: {places: 2, mode: half_even, at: line}
    minimum: 7.77
    charges:
      - {name: base, flat: 5}
      - name: tokens
        meter: tokens
        group_by: [model]
        included: 2
        price: {model: graduated, per: 3, tiers: [{up_to: 5, unit_price: 3, flat: 1}, {unit_price: 0.25}]}
        prices:
          - when: {model: large}
            price: {model: volume, tiers: [{up_to: 9, unit_price: 2}, {unit_price: 1}]}
        other: {model: per_unit, unit_price: 0.1}
      - {name: calls, meter: calls, included: 3, price: {model: package, size: 4, unit_price: 0.5}}
      - {name: peaks, meter: most, rollup: sum_of_max, maximum: 9, price: {model: per_unit, unit_price: 0.7}}
      - {name: usual, meter: calls, rollup: p95, price: {model: per_unit, unit_price: 1}}
      - {name: mean, meter: tokens, rollup: avg, price: {model: per_unit, unit_price: 1}}
      - {name: models, meter: models, price: {model: per_unit, unit_price: 0.3}}
      - {name: least, meter: least, price: {model: per_unit, unit_price: 0.3}}
      - {name: newest, meter: newest, price: {model: per_unit, unit_price: 0.3}}
      - name: hours
        meter: level
        rollup: integral
        per: hour
        group_by: [model]
        price: {model: per_unit, unit_price: 0.01}
        other: {model: per_unit, unit_price: 0.02}
      - {name: level, meter: level, rollup: time_average, price: {model: per_unit, unit_price: 0.01}}
      - {name: stands, meter: level, price: {model: per_unit, unit_price: 0.01}}
"""


def catalog(subjects: int) -> str:
    """Meters, a plan, and a subscription for each two subjects."""
    subscriptions = [
        f"  - {{name: sub-{number}, customer: customer-{number}, plan: pro, billing_period: day,"
        f" subjects: [subject-{number}, subject-{number + 1}], start: 2026-05-29T00:00:00Z}}"
        for number in range(0, subjects, 2)
    ]
    return "\n".join([METERS_YAML, PLAN, "subscriptions:", *subscriptions])


async def billed(scenario: Scenario, records: int, *, subjects: int = 10) -> None:
    """Days of traffic on a log with a clock of records, counted, closed and rated."""
    await scenario.set_up()
    await apply_terms(scenario, catalog(subjects))
    await scenario.publish(_late(subjects))
    traffic = scenario.traffic(log_us=START_US + 27 * HOUR_US)
    await scenario.publish(traffic.records(records))
    # So that later cuts come, and every partition comes to them.
    traffic.pass_time(40 * HOUR_US)
    await scenario.publish(traffic.records(40, {"new": 1}))
    await scenario.catch_up()
    await scenario.commands.run("close", "--once")
    await scenario.commands.run("rate", "--once")


def ticks(scenario: Scenario, at_us: int) -> list[Sent]:
    """What lets every partition's log come to some time."""
    return [
        Sent(None, tick("/tests", f"{at_us}-{partition}", at_us, "partition"), (), partition, at_us)
        for partition in range(scenario.rules.partitions)
    ]


def _late(subjects: int) -> Iterator[Sent]:
    """A day that is rated at two o'clock, and an event that comes at twenty past."""
    for id_, hour_us, at_us in (("timely", 23 * HOUR_US, 23 * HOUR_US), ("late", _LATE_US, _PAST_US)):
        for number in range(subjects):
            data = {"n": number + 1, "model": "small", "region": "eu"}
            subject, time_us = f"subject-{number}", START_US + hour_us
            event = SpokenEvent("/late", f"{id_} {number}", "call", subject, time_us, data)
            yield Sent(event.subject.encode(), structured(event), timestamp_us=START_US + at_us)


async def apply_terms(scenario: Scenario, text: str) -> None:
    """Apply all that a catalog says."""
    document = load_catalog(text, "catalog.yaml")
    connection = await connect(scenario.dsn, StoreOptions())
    try:
        wanted = Wanted(document.meters, document.plans, document.subscriptions)
        applied = await price_changes.apply(connection, wanted, "tests")
        assert not applied.plan.refusals, applied.plan.refusals
    finally:
        await connection.close()


async def rated(scenario: Scenario) -> list[Mapping[str, Any]]:
    """Every rated total, newest versions first."""
    rows = await (await scenario.witness()).fetch(
        "SELECT document::text FROM rated_total ORDER BY version DESC, subscription, period_start"
    )
    return [json.loads(row["document"]) for row in rows]
