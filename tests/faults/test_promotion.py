"""A meter that counted wrongly: replayed with another catalog, compared, promoted, and rated once more."""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from faults.billed import START_US, apply_terms, rated, ticks
from faults.conftest import ScenarioFactory
from faults.scenario import Scenario
from faults.traffic import Sent
from oracle.logs import HOUR_US, MINUTE_US, structured
from oracle.recount import SpokenEvent

FOUND, REFUSED = 1, 4
PRICE: Final = Decimal(2)
PATIENT: Final = {"METERING_SESSION_TIMEOUT_S": "10", "METERING_STATEMENT_TIMEOUT_S": "10"}
SUBJECTS: Final = [f"subject-{number}" for number in range(6)]

WRONG: Final = """
meters:
  - {name: spend, event_type: call, aggregation: sum, value: net, group_by: [model], window: 1h, grace: 30m}
  - {name: calls, event_type: call, aggregation: count, filter: {model: [a]}, window: 15m, grace: 0s}
  - {name: peak, event_type: call, aggregation: max, value: net, window: 1h, grace: 30m}
  - {name: least, event_type: call, aggregation: min, value: net, group_by: [model], window: 1h, grace: 30m,
     cardinality_limit: 1}
  - {name: newest, event_type: call, aggregation: last, value: net, window: 15m, grace: 30m}
  - {name: kinds, event_type: call, aggregation: unique, value: model, window: 1h, grace: 30m}
  - {name: level, event_type: call, aggregation: gauge, value: net, group_by: [model], window: 1h, grace: 30m}
"""
RIGHT: Final = (
    WRONG.replace("value: net", "value: gross")
    .replace("value: model", "value: kind")
    .replace("filter: {model: [a]}, ", "")
)
TERMS: Final = """
plans:
  - name: pro
    currency: EUR
    rounding: {places: 2}
    charges:
      - {name: spend, meter: spend, group_by: [model], price: {model: per_unit, unit_price: 2}}
      - {name: calls, meter: calls, price: {model: per_unit, unit_price: 0.5}}
  - name: more
    currency: USD
    rounding: {places: 2}
    charges:
      - {name: peak, meter: peak, price: {model: per_unit, unit_price: 1}}
      - {name: peaks, meter: peak, rollup: sum_of_max, price: {model: per_unit, unit_price: 1}}
      - {name: newest, meter: newest, price: {model: per_unit, unit_price: 1}}
      - {name: kinds, meter: kinds, price: {model: per_unit, unit_price: 1}}
      - {name: least, meter: least, group_by: [model], price: {model: per_unit, unit_price: 1},
         other: {model: per_unit, unit_price: 1}}
      - {name: level, meter: level, rollup: integral, per: hour, price: {model: per_unit, unit_price: 1}}
subscriptions:
""" + "\n".join(
    f"  - {{name: {name}-{number}, customer: c, plan: {plan}, subjects: [{subject}], billing_period: day,"
    " start: 2026-05-29T00:00:00Z}"
    for number, subject in enumerate(SUBJECTS)
    for name, plan in (("sub", "pro"), ("more", "more"))
)


def usage() -> Iterator[Sent]:
    """A day of calls, some of them late for their windows."""
    for number in range(120):
        log_us = START_US + number * 11 * MINUTE_US
        late_us = 100 * MINUTE_US if number % 9 == 0 and number > 9 else 0
        data = {"net": number, "gross": f"{number}.5", "model": "ab"[number % 2], "kind": str(number % 3)}
        subject = SUBJECTS[number % 7 % 6]
        event = SpokenEvent("/shop", str(number), "call", subject, log_us - late_us, data)
        yield Sent(subject.encode(), structured(event), timestamp_us=log_us)


async def rate_wrongly(scenario: Scenario) -> None:
    """A day of usage, counted and rated by what is to be corrected."""
    scenario.commands.environment |= PATIENT  # nothing fails here
    await scenario.commands.run("migrate")
    await scenario.commands.run("topics", "apply")
    await apply_terms(scenario, WRONG + TERMS)
    await scenario.publish(usage())
    await rate_at(scenario, 26)


async def rate_at(scenario: Scenario, hours: int) -> None:
    """Let every partition's log come to some time of that day, and do all that is due then."""
    await scenario.publish(ticks(scenario, START_US + hours * HOUR_US))
    await scenario.catch_up()
    await scenario.commands.run("close", "--once")
    await scenario.commands.run("rate", "--once")


async def ran(scenario: Scenario, *arguments: str, exits: int = 0) -> list[dict[str, Any]]:
    """The JSON lines that a command prints."""
    command = scenario.commands.start(*arguments, "--json")
    assert await command.ended(deadline_s=60) == exits, command.log.read_text()
    return [json.loads(line) for line in command.output.read_text().splitlines()]


def assert_right(after: Mapping[str, Mapping[str, Any]]) -> None:
    """Every subject pays for what the right catalog reads in its events."""
    for number, subject in enumerate(SUBJECTS):
        used = [json.loads(one.value) for one in usage() if one.key == subject.encode()]
        gross = [Decimal(event["data"]["gross"]) for event in used]
        expected = sum(gross) * PRICE + len(used) * Decimal("0.5")
        assert Decimal(after[f"sub-{number}"]["amount"]) == expected
        amounts = {
            charge["charge"]: Decimal(charge["amount"])
            for charge in after[f"more-{number}"]["segments"][0]["charges"]
        }
        assert amounts["peak"] == max(gross)
        assert amounts["newest"] == Decimal(max(used, key=lambda event: event["time"])["data"]["gross"])
        assert amounts["kinds"] == len({event["data"]["kind"] for event in used})


async def explained(scenario: Scenario, subscription: str, version: int) -> bool:
    """Whether there are corrections behind a version, of which all else is in the log."""
    *lines, summary = await ran(scenario, "explain", f"{subscription}/2026-05-29T00:00:00Z/{version}")
    assert summary["equal"]
    return any(line["what"] == "correction" for line in lines)


async def assert_undone(scenario: Scenario, before: Mapping[str, Mapping[str, Any]]) -> None:
    """What counted at first is promoted in its turn."""
    await scenario.commands.run(
        "replay", "--into", "former", "--catalog", str(scenario.write("wrong.yaml", WRONG))
    )
    await ran(scenario, "promote", "former", "--reason", "it was right")
    await rate_at(scenario, 32)
    undone = {total["subscription"]: total for total in await rated(scenario) if total["version"] == 3}
    assert {name: total["amount"] for name, total in undone.items()} == {
        name: total["amount"] for name, total in before.items()
    }
    assert await explained(scenario, "more-0", 3)
    await scenario.commands.run("prove", "--once")
    await scenario.commands.run("doctor")


async def test_a_wrong_meter_is_made_good_by_rows_beside_its_windows(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    await rate_wrongly(scenario)
    before = {total["subscription"]: total for total in await rated(scenario) if total["version"] == 1}
    assert len(before) == 2 * len(SUBJECTS)

    right = str(scenario.write("right.yaml", RIGHT))
    await scenario.commands.run("replay", "--into", "shadow", "--catalog", right)
    (found,) = await ran(scenario, "compare", "shadow", exits=FOUND)
    events = 120
    more = Decimal("0.5") * events
    assert Decimal(found["units"]["spend"]["difference"]) == more
    assert Decimal(found["units"]["calls"]["difference"]) == events // 2
    expected_money = more * PRICE + events // 2 * Decimal("0.5")
    assert Decimal(found["money"]["EUR"]["difference"]) == expected_money

    *rows, shown = await ran(scenario, "promote", "shadow", "--reason", "net is not gross", "--dry-run")
    assert not shown["promoted"]
    *promoted, summary = await ran(scenario, "promote", "shadow", "--reason", "net is not gross")
    assert promoted == rows
    assert summary["promoted"]
    assert sum(Decimal(row["value"]) for row in rows if row["meter"] == "spend") == more
    assert sum(row["events"] for row in rows if row["meter"] == "calls") == events // 2

    await rate_at(scenario, 29)
    after = {total["subscription"]: total for total in await rated(scenario) if total["version"] == 2}
    assert set(after) == set(before)
    for name, total in after.items():
        difference = Decimal(total["amount"]) - Decimal(before[name]["amount"])
        assert Decimal(total["difference"]["amount"]) == difference
    euros = [total for name, total in after.items() if name.startswith("sub-")]
    assert sum(Decimal(total["difference"]["amount"]) for total in euros) == expected_money
    assert_right(after)

    # Both versions can be explained: the log has all but the corrections, which are shown as such.
    for version, is_corrected in ((1, False), (2, True)):
        assert await explained(scenario, "sub-0", version) == is_corrected
        assert await explained(scenario, "more-0", version) == is_corrected

    # What was promoted is kept, is not promoted twice, and is there again in a replay.
    await scenario.commands.run("doctor")
    await scenario.commands.run("migrate", "--down-to", "0", METERING_POSTGRES_SCHEMA="shadow")
    await scenario.commands.run("replay", "--into", "shadow", "--catalog", right)
    (nothing,) = await ran(scenario, "promote", "shadow", "--reason", "once more")
    assert nothing == {"promoted": False, "corrections": 0, "terms": 0, "log_time": None, "evidence": None}
    (found,) = await ran(scenario, "compare", "shadow", exits=FOUND)  # windows stay as they were counted
    assert {both["difference"] for both in found["money"].values()} == {"0"}
    assert set(found["money"]) == {"EUR", "USD"}
    await scenario.commands.run("replay", "--into", "same")
    (found,) = await ran(scenario, "compare", "same")
    assert found["compared"]["rated_total"] >= 4 * len(SUBJECTS)

    await assert_undone(scenario, before)


async def test_what_no_row_can_make_good_is_refused(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    await rate_wrongly(scenario)
    other = """
meters:
  - {name: spend, event_type: call, aggregation: sum, value: gross, window: 1h, grace: 30m}
  - {name: calls, event_type: call, aggregation: count, filter: {model: [a]}, window: 5m, grace: 0s}
  - {name: peak, event_type: call, aggregation: last, value: gross, window: 1h, grace: 30m}
  - {name: fresh, event_type: call, aggregation: count, window: 1h, grace: 30m}
"""
    await scenario.commands.run(
        "replay", "--into", "shadow", "--catalog", str(scenario.write("o.yaml", other))
    )
    promoting = scenario.commands.start("promote", "shadow", "--reason", "no", "--json")
    assert await promoting.ended(deadline_s=60) == REFUSED
    problems = [json.loads(line) for line in promoting.log.read_text().splitlines()]
    assert {problem["title"] for problem in problems} == {
        *("groups_changed", "window_changed", "aggregation_changed", "meter_not_in_force")
    }
    witness = await scenario.witness()
    assert await witness.fetchval("SELECT count(*) FROM adjustment WHERE kind = 'correction'") == 0
    assert await witness.fetchval("SELECT count(*) FROM correction") == 0
