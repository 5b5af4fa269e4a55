"""From a file to totals with the public commands alone, and what they say on the way."""

import csv
import io
import json
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest_asyncio
from integration.cli.fixtures import Metering, write
from support.processes import Commands

TOPIC = "name: journey\npartitions: 3\nclock: record\nretention_ms: -1\n"

CATALOG = """\
meters:
  - name: tokens
    event_type: llm.completion
    aggregation: sum
    value: tokens
    group_by: [model]
    window: 1h
    grace: 15m
    cardinality_limit: 2
  - name: calls
    event_type: llm.completion
    aggregation: count
    window: 1h
    grace: 15m
  - name: models
    event_type: llm.completion
    aggregation: unique
    value: model
    window: 1h
    grace: 15m
"""

MAPPING = """\
event:
  id: "row-{row}"
  source: test
  type: llm.completion
  subject: {template: "customer-{bucket}", buckets: 2}
  time: {column: at, zone: UTC}
data:
  tokens: {column: tokens, type: number}
  model: {column: model}
"""

MODELS = ("a", "b", "c", "d")


@pytest_asyncio.fixture
async def ready(metering: Metering) -> Metering:
    write("topic.yaml", TOPIC)
    write("metering.toml", 'topic_file = "topic.yaml"\n')
    write("catalog.yaml", CATALOG)
    write("mapping.yaml", MAPPING)
    await metering("migrate")
    await metering("topics", "apply")
    await metering("catalog", "apply", "catalog.yaml")
    return metering


def rows() -> list[tuple[str, str, str]]:
    """120 rows over two hours; amounts that a float would not keep."""
    return [
        (f"2023-11-16 {18 + n // 60}:{n % 60:02}:00.1234567", f"{n}.{10**29 + n}", MODELS[n % 4])
        for n in range(120)
    ]


def csv_of(given: list[tuple[str, str, str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([("at", "tokens", "model"), *given])
    return text.getvalue()


async def counted(commands: Commands) -> None:
    """Count all there is, and make final what can be."""
    await commands.run("worker", "--until-caught-up")
    await commands.run("close", "--once")


async def test_a_csv_file_becomes_totals_that_equal_a_recount(ready: Metering, commands: Commands) -> None:
    given = rows()
    write("rows.csv", csv_of(given))
    ran = await ready(
        "publish", "--csv", "rows.csv", "--mapping", "mapping.yaml", "--tick-after", "2h", "--json"
    )
    assert ran.lines == [{"refused": 0}, {"published": 120}]
    ran = await ready("publish", "--csv", "rows.csv", "--mapping", "mapping.yaml", "--json")  # every copy
    assert ran.lines == [{"refused": 0}, {"published": 120}]
    await counted(commands)

    expected: dict[tuple[str, str], Fraction] = {}
    events: Counter[tuple[str, str]] = Counter()
    for row, (_, tokens, model) in enumerate(given, start=1):
        key = (f"customer-{row % 2}", model)
        expected[key] = expected.get(key, Fraction(0)) + Fraction(tokens)
        events[key] += 1
    totals = (await ready("totals", "--meter", "tokens", "--group-by", "model", "--json")).lines
    assert {(one["subject"], one["group"]["model"]): Fraction(one["value"]) for one in totals} == expected
    assert {(one["subject"], one["group"]["model"]): one["events"] for one in totals} == events
    averages = (
        await ready("totals", "--meter", "tokens", "--group-by", "model", "--average", "--json")
    ).lines
    for one in averages:
        key = one["subject"], one["group"]["model"]
        assert Fraction(one["average"]) == expected[key] / events[key]
    for one in totals:
        assert set(one) == {"meter", "subject", "group", "start", "end", "value", "events", "status"}
        assert one["status"] == "final"
        assert (one["meter"], one["start"], one["end"]) == (
            "tokens",
            "2023-11-16T18:00:00Z",
            "2023-11-16T20:00:00Z",
        )

    whole = (await ready("totals", "--meter", "calls", "--json")).lines
    assert [(one["subject"], one["group"], one["value"]) for one in whole] == [
        ("customer-0", {}, "60"),
        ("customer-1", {}, "60"),
    ]
    by_window = (
        await ready("totals", "--meter", "calls", "--subject", "customer-1", "--by-window", "--json")
    ).lines
    assert [(one["start"], one["value"]) for one in by_window] == [
        ("2023-11-16T18:00:00Z", "30"),
        ("2023-11-16T19:00:00Z", "30"),
    ]
    later = (await ready("totals", "--meter", "calls", "--from", "2023-11-16T19:00:00Z", "--json")).lines
    assert [one["value"] for one in later] == ["30", "30"]
    unique = (await ready("totals", "--meter", "models", "--json")).lines
    assert [one["value"] for one in unique] == ["2", "2"]
    assert "customer-1" in (await ready("totals", "--meter", "calls")).out
    every = (await ready("totals", "--json")).lines
    assert [one["meter"] for one in every] == ["calls", "calls", "models", "models", "tokens", "tokens"]
    assert every[:2] == whole
    await ready("doctor")

    (status,) = (await ready("status", "--json")).lines
    assert sum(one["outcomes"]["accepted"] for one in status["partitions"]) == 120
    assert sum(one["outcomes"]["duplicate"] for one in status["partitions"]) == 120
    assert {one["lag_records"] for one in status["partitions"]} == {0}
    assert "Final up to 2023-11-16T21:59:00.12" in (await ready("status")).out


async def test_a_window_that_may_still_change_is_provisional(ready: Metering, commands: Commands) -> None:
    write("rows.csv", csv_of(rows()))
    await ready("publish", "--csv", "rows.csv", "--mapping", "mapping.yaml", "--tick-after", "15m")
    await counted(commands)
    totals = (await ready("totals", "--meter", "calls", "--by-window", "--json")).lines
    # The last event is at 19:59, the ticks at 20:14, and the last window would be final at 20:15.
    assert {(one["start"], one["status"]) for one in totals} == {
        ("2023-11-16T18:00:00Z", "final"),
        ("2023-11-16T19:00:00Z", "provisional"),
    }
    assert {one["status"] for one in (await ready("totals", "--meter", "calls", "--json")).lines} == {
        "provisional"
    }


async def test_what_a_cardinality_limit_turned_away_is_told_apart_and_still_sums(
    ready: Metering, commands: Commands
) -> None:
    write("mapping.yaml", MAPPING.replace("buckets: 2", "buckets: 1"))
    write("rows.csv", csv_of([(at, "1", model) for at, _, model in rows()[:40]]))
    await ready("publish", "--csv", "rows.csv", "--mapping", "mapping.yaml")
    await counted(commands)
    grouped = (await ready("totals", "--meter", "tokens", "--group-by", "model", "--json")).lines
    assert [(one["group"]["model"], one["value"], one.get("other")) for one in grouped] == [
        ("a", "10", None),
        ("b", "10", None),
        (None, "20", True),
    ]
    assert [one["value"] for one in (await ready("totals", "--meter", "tokens", "--json")).lines] == ["40"]
    assert "(other)" in (await ready("totals", "--meter", "tokens", "--group-by", "model")).out


def event(number: int, **changes: Any) -> str:
    whole = {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "test",
        "type": "llm.completion",
        "subject": "acme",
        "time": "2023-11-16T18:00:00Z",
        "data": {"tokens": number, "model": "a"},
    }
    return json.dumps({**whole, **changes})


async def test_refused_lines_are_reported_and_the_rest_is_published(ready: Metering) -> None:
    lines = [event(1), "{", "", event(2, subject=""), event(3)]
    write("events.ndjson", "\n".join(lines))
    ran = await ready("publish", "events.ndjson", "--json", exits=4)
    assert ran.lines[-2:] == [{"refused": 2}, {"published": 2}]
    assert [(one["line"], one["title"]) for one in ran.problems] == [(2, "not_json"), (4, "empty_subject")]
    ran = await ready("publish", "events.ndjson", exits=4)
    assert ran.out == "2 published, 2 refused.\n"
    assert ran.err.startswith("not_json: line 2: ")
    ran = await ready("publish", "events.ndjson", "--strict", "--json", exits=4)
    assert ran.lines[-2:] == [{"refused": 1}, {"published": 1}]


async def test_what_was_published_by_mistake_is_withdrawn_once(ready: Metering, commands: Commands) -> None:
    given = [
        {
            "specversion": "1.0",
            "id": str(number),
            "source": "test",
            "type": "llm.completion",
            "subject": "acme",
            "time": f"2023-11-16T18:0{number}:00Z",
            "data": {"tokens": number, "model": "a"},
        }
        for number in range(4)
    ]
    write("events.ndjson", "".join(f"{json.dumps(event)}\n" for event in given[:3]))
    write("wrong.ndjson", f"{json.dumps(given[2])}\n{json.dumps(given[3])}\n{{}}\n")
    await ready("publish", "events.ndjson")
    ran = await ready("void", "wrong.ndjson", "--json", exits=4)
    assert ran.lines == [{"refused": 1}, {"published": 2}]
    await ready("void", "wrong.ndjson", exits=4)
    await counted(commands)

    (total,) = (await ready("totals", "--meter", "tokens", "--json")).lines
    assert (total["value"], total["events"]) == ("1", 2)
    (status,) = (await ready("status", "--json")).lines
    outcomes = Counter[str]()
    for partition in status["partitions"]:
        outcomes.update(partition["outcomes"])
    assert (outcomes["accepted"], outcomes["duplicate"], outcomes["quarantined"]) == (4, 1, 2)
    refused = (await ready("quarantine", "list", "--records", "--json")).lines
    assert Counter(one["code"] for one in refused) == {"void_unmatched": 2, "void_not_subtractable": 1}
    await ready("doctor")


async def test_what_the_pipeline_refused_can_be_looked_at(ready: Metering, commands: Commands) -> None:
    lines = [
        event(1, time="2023-11-20T00:00:00Z"),
        event(2),  # more than 48 hours behind
        event(3, time="2023-11-20T00:00:00Z", data={"tokens": "many", "model": "a"}),
    ]
    write("events.ndjson", "\n".join(lines))
    await ready("publish", "events.ndjson")
    await counted(commands)
    listed = {one["id"]: one for one in (await ready("quarantine", "list", "--records", "--json")).lines}
    assert {name: one["code"] for name, one in listed.items()} == {"e2": "too_old", "e3": "value_not_number"}
    assert listed["e2"]["meter_version"] is None
    assert listed["e3"]["meter_version"] is not None
    only = ("quarantine", "list", "--records", "--code", "too_old", "--source", "test", "--json")
    assert [one["id"] for one in (await ready(*only)).lines] == ["e2"]
    assert (await ready("quarantine", "list", "--subject", "nobody", "--json")).lines == []
    table = (await ready("quarantine", "list")).out
    assert "1 too_old" in table
    assert "tokens v1" in (await ready("quarantine", "list", "--records")).out
    partition, offset = (str(listed["e2"][name]) for name in ("partition", "offset"))
    (shown,) = (await ready("quarantine", "show", partition, offset, "--json")).lines
    assert shown["value"] == event(2)
    assert shown["key"] == "acme"
    assert ["content-type", "application/cloudevents+json"] in shown["headers"]
    assert "too_old" in (await ready("quarantine", "show", partition, offset)).out
    await ready("quarantine", "show", partition, "999", exits=2)
    await ready("quarantine", "list", "--code", "to_old", exits=2)
    await ready("doctor")


async def test_a_stretch_that_was_given_up_is_booked_as_lost(ready: Metering, commands: Commands) -> None:
    write("events.ndjson", "\n".join(event(number) for number in range(5)))
    await ready("publish", "events.ndjson")
    (status,) = (await ready("status", "--json", exits=1)).lines  # nobody counts
    partition = next(str(one["partition"]) for one in status["partitions"] if one["end_offset"] == 5)
    await ready("partition", "skip", partition, "--to", "0", "--reason", "none", exits=2)
    await ready("partition", "skip", "77", "--to", "2", "--reason", "none", exits=2)
    await ready("partition", "skip", partition, "--from", "1", "--to", "2", "--reason", "none", exits=5)
    ran = await ready("partition", "skip", partition, "--to", "6", "--reason", "a slip", "--json", exits=2)
    assert ran.problems[0]["title"] == "beyond_the_log"
    ran = await ready(
        "partition", "skip", partition, "--to", "2", "--reason", "disk gone", "--who", "al", "--json"
    )
    assert ran.lines == [{"partition": int(partition), "lost_from": 0, "lost_to": 2}]
    await counted(commands)
    assert [one["value"] for one in (await ready("totals", "--meter", "calls", "--json")).lines] == ["3"]
    (status,) = (await ready("status", "--json")).lines
    assert sum(one["outcomes"]["lost"] for one in status["partitions"]) == 2
    await ready("doctor")


async def test_a_cap_is_kept_for_good(ready: Metering) -> None:
    given = ("partition", "cap", "0", "7", "--time", "2026-01-01T00:00:00Z", "--reason", "clock")
    await ready(*given)
    assert (await ready(*given, "--json", exits=2)).problems[0]["title"] == "cap_exists"
    await ready("partition", "cap", "0", "8", "--time", "soon", "--reason", "clock", exits=2)
    ran = await ready("partition", "cap", "77", *given[3:], "--json", exits=2)
    assert ran.problems[0]["title"] == "unknown_partition"


async def test_what_was_counted_is_not_capped(ready: Metering, commands: Commands) -> None:
    write("events.ndjson", "\n".join(event(number) for number in range(3)))
    await ready("publish", "events.ndjson")
    await counted(commands)
    (status,) = (await ready("status", "--json")).lines
    partition = next(str(one["partition"]) for one in status["partitions"] if one["next_offset"] == 3)
    given = ("--time", "2023-01-01T00:00:00Z", "--reason", "clock", "--json")
    ran = await ready("partition", "cap", partition, "2", *given, exits=2)
    assert ran.problems[0]["title"] == "offset_counted"
    await ready("partition", "cap", partition, "3", *given)


async def test_totals_of_what_does_not_exist_are_refused(ready: Metering) -> None:
    assert (await ready("totals", "--meter", "calls", "--json")).out == ""
    assert (await ready("totals", "--meter", "tokns", "--json", exits=2)).problems[0][
        "title"
    ] == "unknown_meter"
    await ready("totals", "--meter", "tokens", "--group-by", "modl", exits=2)
    await ready("totals", "--meter", "tokens", "--from", "noon", exits=2)


async def test_a_schema_goes_back_and_forth(metering: Metering) -> None:
    applied = (await metering("migrate", "--json")).lines[0]["applied"]
    assert "nothing to do" in (await metering("migrate")).out
    assert (await metering("migrate", "--down-to", "0", "--json")).lines[0]["undone"] == applied[::-1]
    assert (await metering("migrate", "--json")).lines[0]["applied"] == applied
