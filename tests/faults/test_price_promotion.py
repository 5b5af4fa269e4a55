"""A price that was wrong: replayed on other terms, compared, promoted, and rated once more."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from faults.billed import rated
from faults.conftest import ScenarioFactory
from faults.scenario import Scenario
from faults.test_promotion import FOUND, REFUSED, SUBJECTS, TERMS, ran, rate_at, rate_wrongly, usage

DAY: Final = "2026-05-29T00:00:00Z"
PLANS: Final = TERMS[: TERMS.index("subscriptions:")]
RIGHT: Final = PLANS.replace("unit_price: 2}", "unit_price: 1.5}")
"""No subscriptions and no meters: what a file does not name stays."""
MISALIGNED: Final = "2026-05-29T06:20:00Z"


def amounts(price: str) -> dict[str, Decimal]:
    """What each subject pays by the plan `pro`: a call's net at a price, and half a euro for a call of a."""
    found = {}
    for number, subject in enumerate(SUBJECTS):
        used = [json.loads(one.value)["data"] for one in usage() if one.key == subject.encode()]
        cost = sum((Decimal(str(data["net"])) * Decimal(price) for data in used), Decimal(0))
        found[f"sub-{number}"] = cost + Decimal("0.5") * sum(data["model"] == "a" for data in used)
    return found


async def documents(scenario: Scenario) -> Mapping[tuple[str, int], str]:
    rows = await (await scenario.witness()).fetch(
        "SELECT subscription, version, document::text FROM rated_total"
    )
    return {(row["subscription"], row["version"]): row["document"] for row in rows}


async def refused(scenario: Scenario, *arguments: str) -> set[str]:
    command = scenario.commands.start(*arguments, "--json")
    assert await command.ended(deadline_s=60) == REFUSED
    return {json.loads(line)["title"] for line in command.log.read_text().splitlines()}


async def test_a_wrong_price_of_a_rated_period_makes_a_version_with_the_difference(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    await rate_wrongly(scenario)
    before = await documents(scenario)
    wrong, right = amounts("2"), amounts("1.5")
    for name, amount in wrong.items():
        assert Decimal(json.loads(before[name, 1])["amount"]) == amount
    file = str(scenario.write("right.yaml", RIGHT))

    # An apply cannot: the period is rated. A replay shows what it would come to.
    assert await refused(scenario, "catalog", "apply", file, "--effective-from", DAY) == {
        "changes_rated_period"
    }
    await scenario.commands.run("replay", "--into", "shadow", "--catalog", file)
    (found,) = await ran(scenario, "compare", "shadow", exits=FOUND)
    more = sum(right.values()) - sum(wrong.values())
    assert Decimal(found["money"]["EUR"]["difference"]) == more
    assert Decimal(found["money"]["USD"]["difference"]) == 0
    assert {kind for kind, count in found["different"].items() if count} == {"terms", "rated_total"}
    (changed,) = [one for one in found["differences"] if one["what"] == "terms"]
    assert changed["of"] == {"kind": "plan", "name": "pro", "version": 2}

    why = "--reason", "2 was last year's price"
    *shown, summary = await ran(scenario, "promote", "shadow", *why, "--dry-run")
    assert (summary["promoted"], summary["corrections"], summary["terms"]) == (False, 0, 1)
    assert [(one["name"], one["version"]) for one in shown if one["what"] == "plan"] == [("pro", 2)]
    assert {
        one["subscription"]: Decimal(one["difference"]) for one in shown if one["what"] == "rated_total"
    } == {name: right[name] - amount for name, amount in wrong.items()}
    *promoted, summary = await ran(scenario, "promote", "shadow", *why)
    assert promoted == shown
    await assert_kept(scenario, summary)

    # The next cut has it, and what was rated stays, to the byte.
    await scenario.commands.run("rate", "--once")
    assert await documents(scenario) == before
    await rate_at(scenario, 29)
    after = await documents(scenario)
    assert {key: text for key, text in after.items() if key in before} == before
    assert after.keys() - before.keys() == {(name, 2) for name in wrong}
    for name, amount in right.items():
        document = json.loads(after[name, 2])
        assert Decimal(document["amount"]) == amount
        assert Decimal(document["difference"]["amount"]) == amount - wrong[name]
        assert [segment["plan_version"] for segment in document["segments"]] == [2]
    for version in (1, 2):
        *_, explained = await ran(scenario, "explain", f"sub-0/{DAY}/{version}")
        assert explained["equal"]
    await scenario.commands.run("doctor")
    await scenario.commands.run("prove", "--once")

    # A replay knows it as the counted schema does, and there is nothing more to promote.
    await scenario.commands.run("replay", "--into", "same")
    (found,) = await ran(scenario, "compare", "same")
    assert found["identical"]
    assert found["compared"]["rated_total"] == len(after)
    (nothing,) = await ran(scenario, "promote", "shadow", *why)
    assert nothing["promoted"] is False
    assert len(await rated(scenario)) == len(after)


async def assert_kept(scenario: Scenario, summary: Mapping[str, Any]) -> None:
    """Who promoted it, why, and the digest of what was shown."""
    witness = await scenario.witness()
    (kept,) = await witness.fetch("SELECT who, reason, shadow_schema, evidence FROM terms_promotion")
    assert kept["reason"] == "2 was last year's price"
    assert kept["evidence"].hex() == summary["evidence"]
    assert await witness.fetchval("SELECT count(*) FROM correction") == 0


async def test_terms_that_do_not_fit_or_have_changed_are_refused(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    await rate_wrongly(scenario)
    replay = "replay", "--into", "shadow", "--catalog"
    file = str(scenario.write("right.yaml", RIGHT))
    assert await refused(scenario, *replay, file, "--effective-from", MISALIGNED) == {
        "effective_from_not_aligned"
    }
    other = str(scenario.write("other.yaml", RIGHT.replace("name: pro", "name: fresh")))
    assert await refused(scenario, *replay, other) == {"terms_not_applied"}
    await scenario.commands.run(*replay, file)
    await scenario.commands.run("catalog", "apply", str(scenario.write("now.yaml", RIGHT + "\n")))
    assert await refused(scenario, "promote", "shadow", "--reason", "no") == {"terms_changed"}
    assert await (await scenario.witness()).fetchval("SELECT count(*) FROM terms_promotion") == 0
