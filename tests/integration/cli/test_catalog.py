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


PLANS = """\
plans:
  - name: pro
    currency: USD
    rounding: {places: 2}
    charges:
      - {name: base, flat: 20}
      - name: input
        meter: tokens
        group_by: [model]
        included: 1000
        price: {model: graduated, tiers: [{up_to: 5000, unit_price: 0.03}, {unit_price: 0.02}]}
"""
SUBSCRIPTIONS = """\
subscriptions:
  - name: acme-pro
    customer: acme
    subjects: [acme-eu, acme-us]
    plan: pro
    start: 2026-01-01T00:00:00+01:00
    billing_period: month
    timezone: Europe/Berlin
    thresholds: [{charge: input, percent: 80}]
"""
NAMES = ("pro", "acme-pro")


async def test_plans_and_subscriptions_are_planned_applied_changed_and_retired(metering: Metering) -> None:
    await prepared(metering)
    write("all.yaml", CATALOG + PLANS + SUBSCRIPTIONS)
    planned = (await metering("catalog", "plan", "all.yaml", "--json")).lines[0]
    assert [(one["kind"], one.get("plan"), one.get("subscription")) for one in planned["changes"][2:]] == [
        ("new", "pro", None),
        ("new", None, "acme-pro"),
    ]
    assert (await metering("catalog", "show", "--json")).lines == []
    applied = (await metering("catalog", "apply", "all.yaml", "--who", "alice", "--json")).lines[0]
    assert (applied["head"], applied["revision"]) == (1, 1)
    again = (await metering("catalog", "apply", "all.yaml", "--json")).lines[0]
    assert (again["head"], again["revision"]) == (None, None)

    write("prices.yaml", PLANS.replace("flat: 20", "flat: 25").replace("up_to: 5000", "up_to: 6000"))
    assert (await metering("catalog", "plan", "prices.yaml")).out.splitlines() == [
        "~ plan pro (changed: version 2, from the beginning)",
        "    charges[base].flat: 20 → 25",
        "    charges[input].price.tiers[0].up_to: 5000 → 6000",
    ]
    out = (await metering("catalog", "apply", "prices.yaml", "--effective-from", "2026-02-01")).out
    assert "Applied: the revision of plans and subscriptions is now 2." in out
    write("nobody.yaml", "subscriptions: []\n")
    assert (await metering("catalog", "plan", "nobody.yaml")).out.splitlines() == [
        "- subscription acme-pro (retired: version 2, from the beginning)"
    ]
    write("half.yaml", SUBSCRIPTIONS.replace("acme-eu, ", ""))
    await metering("catalog", "apply", "half.yaml")

    shown = (await metering("catalog", "show", "--json")).lines[2:]
    assert [(one.get("plan") or one["subscription"], one["version"], one["revision"]) for one in shown] == [
        ("pro", 2, 3),
        ("acme-pro", 2, 3),
    ]
    assert shown[0]["effective_from"] == "2026-02-01T00:00:00Z"
    assert shown[1]["definition"]["subjects"] == ["acme-us"]
    history = (await metering("catalog", "show", "--section", "plans", "--history", "--json")).lines
    assert [one["definition"]["charges"][0]["flat"] for one in history] == ["20", "25"]
    table = (await metering("catalog", "show")).out
    assert "acme-us" in table
    assert "base, input (tokens)" in table
    writes = (await metering("audit", "--action", "catalog.apply", "--json")).lines
    assert [(one["who"], one["target"]) for one in writes][-2:] == [
        ("alice", "head 1"),
        ("alice", "revision 1"),
    ]


async def test_what_breaks_a_rule_is_refused_at_its_line(metering: Metering) -> None:
    await prepared(metering)
    text = CATALOG + PLANS.replace("group_by: [model]", "group_by: [region]")
    text += SUBSCRIPTIONS.replace(
        "billing_period: month", "billing_period: month\n    anchor: 2026-01-01T00:30"
    )
    write("wrong.yaml", text)
    ran = await metering("catalog", "apply", "wrong.yaml", exits=4)
    plan_line, subscription_line = (text.splitlines().index(f"  - name: {name}") + 1 for name in NAMES)
    assert f"unknown_group: wrong.yaml:{plan_line}: pro: charge `input` groups by `region`" in ran.err
    month = f"wrong.yaml:{subscription_line}: acme-pro: the month of Europe/Berlin that begins at"
    assert f"window_does_not_divide: {month}" in ran.err
    assert (await metering("catalog", "show", "--json")).lines == []
    ran = await metering("catalog", "plan", "wrong.yaml", "--json", exits=4)
    assert [one["title"] for one in ran.problems] == ["unknown_group", "window_does_not_divide"]


async def test_a_meter_that_a_plan_charges_by_is_not_retired(metering: Metering) -> None:
    await prepared(metering)
    write("all.yaml", CATALOG + PLANS + SUBSCRIPTIONS)
    await metering("catalog", "apply", "all.yaml")
    write("calls.yaml", "meters:\n" + CATALOG[CATALOG.index("  - name: calls") :])
    ran = await metering("catalog", "apply", "calls.yaml", exits=4)
    assert ran.err.startswith(
        "breaks_plan: calls.yaml:1: tokens: plan `pro` would break: meter `tokens` is retired"
    )
