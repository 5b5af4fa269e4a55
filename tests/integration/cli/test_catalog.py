"""`metering catalog`: a plan a person can read, immutable versions, and errors at their line."""

from integration.cli.fixtures import Metering, write

CATALOG = """\
meters:
  - name: tokens
    event_type: llm.completion
    aggregation: sum
    value: tokens
    group_by: [model]
    window: 1h
    grace: 15m
  - name: calls
    event_type: llm.completion
    aggregation: count
    window: 1d
    grace: 15m
"""


async def prepared(metering: Metering) -> None:
    await metering("migrate")
    await metering("topics", "apply")
    write("catalog.yaml", CATALOG)


async def test_meters_are_planned_applied_changed_and_retired(metering: Metering) -> None:
    await prepared(metering)
    planned = (await metering("catalog", "plan", "catalog.yaml", "--json")).lines[0]
    assert [(one["kind"], one["meter"], one["version"]) for one in planned["changes"]] == [
        ("new", "calls", 1),
        ("new", "tokens", 1),
    ]
    assert (await metering("catalog", "show", "--json")).lines == []
    assert (await metering("catalog", "apply", "catalog.yaml", "--json")).lines[0]["head"] == 1
    again = (await metering("catalog", "apply", "catalog.yaml", "--json")).lines[0]
    assert again["head"] is None
    assert {one["kind"] for one in again["changes"]} == {"unchanged"}

    write("catalog.yaml", CATALOG.replace("grace: 15m", "grace: 1h", 1).split("  - name: calls")[0])
    seen = (await metering("catalog", "plan", "catalog.yaml")).out.splitlines()
    assert seen == [
        "- calls (retired: version 2, from the beginning)",
        "~ tokens (changed: version 2, from the beginning)",
        "    grace: 15m → 1h",
    ]
    await metering("catalog", "apply", "catalog.yaml", "--who", "alice")
    shown = {one["meter"]: one for one in (await metering("catalog", "show", "--json")).lines}
    assert list(shown) == ["tokens"]
    assert shown["tokens"]["definition"]["grace"] == "1h"
    history = (await metering("catalog", "show", "--history", "--json")).lines
    assert [(one["meter"], one["version"], one["retired"]) for one in history] == [
        ("calls", 1, False),
        ("calls", 2, True),
        ("tokens", 1, False),
        ("tokens", 2, False),
    ]
    assert "1h" in (await metering("catalog", "show")).out


async def test_a_change_from_an_instant_of_ones_own_must_be_on_a_boundary(metering: Metering) -> None:
    await prepared(metering)
    ran = await metering(
        "catalog", "plan", "catalog.yaml", "--effective-from", "2026-11-24T03:30:00Z", exits=4
    )
    assert "effective_from_not_aligned: catalog.yaml:2: tokens: " in ran.err
    assert "effective_from_not_aligned: catalog.yaml:9: calls: " in ran.err
    planned = await metering("catalog", "apply", "catalog.yaml", "--effective-from", "2026-11-24", "--json")
    assert {one["effective_from"] for one in planned.lines[0]["changes"]} == {"2026-11-24T00:00:00Z"}


async def test_a_catalog_that_cannot_be_is_refused_at_its_line(metering: Metering) -> None:
    await prepared(metering)
    write("wrong.yaml", CATALOG.replace("aggregation: sum", "aggregation: summ"))
    ran = await metering("catalog", "apply", "wrong.yaml", exits=4)
    assert ran.err.startswith("catalog_invalid: wrong.yaml:4: ")
    write("late.yaml", CATALOG.replace("grace: 15m", "grace: 47h"))
    ran = await metering("catalog", "apply", "late.yaml", "--json", exits=4)
    assert [one["title"] for one in ran.problems] == ["grace_too_long"]
    assert ran.problems[0]["detail"].startswith("late.yaml:9: calls: ")
    await metering("catalog", "apply", "absent.yaml", exits=4)
    assert (await metering("catalog", "show", "--json")).lines == []


async def test_before_there_is_a_topic_a_sentence_says_what_to_do(metering: Metering) -> None:
    write("catalog.yaml", CATALOG)
    assert "metering migrate" in (await metering("catalog", "plan", "catalog.yaml", exits=3)).err
    await metering("migrate")
    assert "metering topics apply" in (await metering("catalog", "plan", "catalog.yaml", exits=3)).err
