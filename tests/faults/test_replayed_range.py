"""A range of the log is counted once more when its beginning is gone, and comes to the same from there on."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from faults import test_promotion
from faults.administering import Administrator
from faults.billed import START_US, apply_terms, catalog, rated, ticks
from faults.conftest import ScenarioFactory
from faults.scenario import Scenario
from faults.test_promotion import RIGHT, TERMS, WRONG, ran, rate_at, usage
from faults.topic_log import murmur2_partition
from faults.traffic import Sent
from oracle.logs import HOUR_US, MINUTE_US, rfc3339, structured
from oracle.recount import SpokenEvent

from schemas.instant import format_time

FOUND, MISUSED, STOPPED = 1, 2, 5
SUBJECTS: Final = 10
SINCE_US: Final = START_US + 62 * HOUR_US
"""Within a billing period, which is a day."""

TABLES: Final = {
    "usage_window": "shard, events, value, value_time, value_offset, first_offset, last_offset",
    "window_member": "shard, member",
    "window_point": "shard, point_time, point_offset, value",
    "adjustment": "partition, record_offset, kind, events, value, member, event_time, log_time",
}
ROWS: Final = (
    "SELECT m.meter, s.subject, s.groups, t.window_start, {columns} FROM {table} AS t"
    " JOIN series AS s USING (series_id) JOIN meter_version AS m ON m.meter_version_id = s.meter_version_id"
    " WHERE t.window_start >= $1"
)
DOCUMENTS: Final = (
    "SELECT subscription, period_start, version, cut, digest, document::text FROM rated_total"
    " WHERE period_start >= $1"
)


def said(id_: str, at_us: int, time_us: int, n: object = 1, subject: str = "subject-0") -> Sent:
    """An event of some time, appended at another."""
    event = SpokenEvent("/said", id_, "call", subject, time_us, {"n": n, "model": "steady"})
    return Sent(event.subject.encode(), structured(event), timestamp_us=at_us)


def at(hours: int, minutes: int = 0) -> int:
    return START_US + hours * HOUR_US + minutes * MINUTE_US


async def counted_days(scenario: Scenario) -> dict[int, int]:
    """Count days of traffic by several workers; up to where a range from SINCE_US on needs nothing of it."""
    await scenario.set_up()
    await apply_terms(scenario, catalog(SUBJECTS))
    workers = [await scenario.member() for _ in range(2)]
    await scenario.publish(scenario.traffic("before", log_us=at(27)).records(350))
    workers.pop().kill()
    # The second contradicts the first, while that is remembered; the third, later, does not.
    await scenario.publish([said("chained", at(56), at(56))])
    await scenario.catch_up()
    unneeded = await scenario.next_offsets()
    await scenario.publish([said("chained", at(59), at(59), 2)])
    await scenario.publish(ticks(scenario, at(61, 40)))
    await scenario.catch_up()
    # Of before, and late: a point that a gauge carries into the days that follow, and what none can read.
    await scenario.publish(
        [
            said("carried", at(62, 20), at(61), 5),
            said("unread", at(62, 20), at(61), "much"),
            said("chained", at(62, 30), at(62, 30), 3),
        ]
    )
    for id_, at_us, time_us in (("timely", at(95), at(95)), ("late", at(98, 20), at(95, 50))):
        await scenario.publish(
            said(id_, at_us, time_us, number + 1, f"subject-{number}") for number in range(SUBJECTS)
        )
    traffic = scenario.traffic("since", log_us=at(100))
    await scenario.publish(traffic.records(900))
    traffic.pass_time(40 * HOUR_US)
    await scenario.publish(traffic.records(40, {"new": 1}))
    await scenario.catch_up()
    await scenario.commands.run("close", "--once")
    await scenario.commands.run("rate", "--once")
    return unneeded


async def asked(scenario: Scenario, schema: str, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    """The rows of a statement of this test's own, in one of the schemas."""
    witness = await scenario.witness()
    async with witness.transaction():
        await witness.fetchval("SELECT set_config('search_path', $1, true)", schema)
        return sorted((tuple(row) for row in await witness.fetch(statement, *arguments)), key=repr)


def instant(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


async def assert_same_from_there_on(scenario: Scenario, schema: str) -> None:
    """Every row and document that a range can have, and none of before but what gauges carry in."""
    since = instant(SINCE_US)
    for table, columns in TABLES.items():
        rows = ROWS.format(table=table, columns=columns)
        counted = await asked(scenario, "metering", rows, since)
        assert counted, f"nothing of {table} would be compared"
        assert await asked(scenario, schema, rows, since) == counted, table
    documents = await asked(scenario, "metering", DOCUMENTS, since)
    assert {version for _, _, version, *_ in documents} > {1}, "nothing late has made a second version"
    assert await asked(scenario, schema, DOCUMENTS, since) == documents
    ((period,),) = await asked(scenario, schema, "SELECT min(period_start) FROM rated_total")
    assert period == instant(at(72)), "the day that the start cuts is not rated"
    ((window,),) = await asked(scenario, schema, "SELECT min(window_start) FROM usage_window")
    assert window >= since
    ((point,),) = await asked(scenario, schema, "SELECT min(window_start) FROM window_point")
    assert point < since, "no gauge carries anything in"


async def refused(scenario: Scenario, exit_code: int, *arguments: str) -> tuple[str, str]:
    """The code and the sentence with which a replay is refused."""
    replay = scenario.commands.start("replay", "--into", "refused", "--json", *arguments)
    assert await replay.ended(deadline_s=60) == exit_code, replay.log.read_text()
    problem = json.loads(replay.log.read_text().splitlines()[-1])
    return problem["title"], problem["detail"]


@pytest.mark.timeout(400)  # many commands, each a process
async def test_a_range_is_replayed_when_the_log_before_it_is_gone(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    unneeded = await counted_days(scenario)
    log = Administrator(scenario.bootstrap_servers, scenario.rules.name)
    await log.delete_records(unneeded)
    since = format_time(SINCE_US)

    code, sentence = await refused(scenario, STOPPED)
    assert code == "log_start_gone"
    assert f"--since {since}" in sentence
    code, sentence = await refused(scenario, STOPPED, "--since", rfc3339(SINCE_US - HOUR_US))
    assert code == "log_start_gone"
    assert f"--since {since}" in sentence
    assert (await refused(scenario, MISUSED, "--since", rfc3339(SINCE_US + 1)))[0] == "since_unaligned"
    assert (await refused(scenario, MISUSED, "--since", "2100-01-01"))[0] == "since_not_counted"
    witness = await scenario.witness()
    assert await witness.fetchval("SELECT to_regnamespace('refused') IS NULL"), "nothing was made"

    for shadow, sizes in (("whole", {}), ("crumbs", {"METERING_FLUSH_RECORDS": "31"})):
        await scenario.commands.run("replay", "--into", shadow, "--since", since, **sizes)
        (found,) = await ran(scenario, "compare", shadow)
        assert found["identical"]
        assert found["since"] == since
        assert found["left_out"]["cut_periods"] == 5
        assert set(found["compared"]) >= {
            "window",
            "member",
            "point",
            "adjustment",
            "quarantine",
            "rated_total",
        }
        assert found["money"]["USD"]["counted"] == found["money"]["USD"]["replayed"] != "0"
        await assert_same_from_there_on(scenario, shadow)
    await scenario.commands.run("doctor", METERING_POSTGRES_SCHEMA="whole")

    # One record more, and this range cannot be read either.
    partition = murmur2_partition("subject-0", scenario.rules.partitions)
    await log.delete_records({partition: unneeded[partition] + 1})
    code, sentence = await refused(scenario, STOPPED, "--since", since)
    assert code == "log_start_gone"
    later = sentence.rpartition("--since ")[2].split()[0]
    assert later > since
    await scenario.commands.run("replay", "--into", "later", "--since", later)
    (found,) = await ran(scenario, "compare", "later")
    assert found["identical"]


@pytest.mark.timeout(400)  # many commands, each a process
async def test_another_catalog_is_promoted_from_the_start_of_a_range_on(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    scenario.commands.environment |= {
        "METERING_SESSION_TIMEOUT_S": "10",
        "METERING_STATEMENT_TIMEOUT_S": "10",
    }
    await scenario.commands.run("migrate")
    await scenario.commands.run("topics", "apply")
    await apply_terms(scenario, WRONG + TERMS)
    events = list(usage())
    await scenario.publish([*events[:24], *ticks(scenario, at(4, 20))])
    await scenario.catch_up()
    unneeded = await scenario.next_offsets()
    await scenario.publish([*events[24:49], *ticks(scenario, at(8, 55))])
    await scenario.catch_up()
    await scenario.publish(events[49:])
    await rate_at(scenario, 26)
    before = {total["subscription"]: total for total in await rated(scenario) if total["version"] == 1}
    await Administrator(scenario.bootstrap_servers, scenario.rules.name).delete_records(unneeded)

    right, since_us = str(scenario.write("right.yaml", RIGHT)), at(10)
    assert (await refused(scenario, STOPPED, "--catalog", right))[0] == "log_start_gone"
    since = ("--since", rfc3339(since_us), "--catalog", right)
    code, _ = await refused(scenario, MISUSED, *since, "--effective-from", rfc3339(at(9)))
    assert code == "usage"
    await scenario.commands.run("replay", "--into", "shadow", *since)
    (found,) = await ran(scenario, "compare", "shadow", exits=FOUND)
    expected = difference(events, since_us)
    assert {name: Decimal(found["units"][name]["difference"]) for name in expected} == expected

    *rows, summary = await ran(scenario, "promote", "shadow", "--reason", "net is not gross")
    assert summary["promoted"]
    assert min(row["start"] for row in rows) >= format_time(since_us)
    assert sum(Decimal(row["value"]) for row in rows if row["meter"] == "spend") == expected["spend"]
    assert sum(row["events"] for row in rows if row["meter"] == "calls") == expected["calls"]
    await rate_at(scenario, 29)
    after = {total["subscription"]: total for total in await rated(scenario) if total["version"] == 2}
    assert_right_from(since_us, events, before, after)

    # What was promoted is there again in a later range, is carried into it, and is not promoted twice.
    later = ("--since", rfc3339(at(12)))
    await scenario.commands.run("replay", "--into", "same", *later)
    (found,) = await ran(scenario, "compare", "same")
    assert found["compared"]["adjustment"] > len(test_promotion.SUBJECTS)
    await scenario.commands.run("replay", "--into", "again", *later, "--catalog", right)
    (nothing,) = await ran(scenario, "promote", "again", "--reason", "once more")
    assert not nothing["promoted"]
    for schema in ("metering", "same", "again"):
        await scenario.commands.run("doctor", METERING_POSTGRES_SCHEMA=schema)


def spoken(events: Iterable[Sent]) -> Iterator[Mapping[str, Any]]:
    return (json.loads(event.value or b"") for event in events)


def difference(events: Iterable[Sent], since_us: int) -> dict[str, Decimal]:
    """What the right catalog has more of what adds up."""
    late = [event for event in spoken(events) if event["time"] >= rfc3339(since_us)]
    others = [event for event in late if event["data"]["model"] != "a"]
    return {"spend": Decimal("0.5") * len(late), "calls": Decimal(len(others))}


def assert_right_from(
    since_us: int,
    events: Iterable[Sent],
    before: Mapping[str, Mapping[str, Any]],
    after: Mapping[str, Mapping[str, Any]],
) -> None:
    """Subjects pay by the wrong catalog for what they used before, and by the right one from there on."""
    used = list(spoken(events))
    for number, subject in enumerate(test_promotion.SUBJECTS):
        name = f"sub-{number}"
        more = Decimal(0)
        for event in used:
            if event["subject"] == subject and event["time"] >= rfc3339(since_us):
                more += 2 * (Decimal(event["data"]["gross"]) - event["data"]["net"])
                more += Decimal("0.5") if event["data"]["model"] != "a" else 0
        assert more
        assert Decimal(after[name]["amount"]) - Decimal(before[name]["amount"]) == more
        amounts = {
            charge["charge"]: Decimal(charge["amount"])
            for charge in after[f"more-{number}"]["segments"][0]["charges"]
        }
        of_subject = [event for event in used if event["subject"] == subject]
        kinds = {
            event["data"]["kind" if event["time"] >= rfc3339(since_us) else "model"] for event in of_subject
        }
        assert amounts["kinds"] == len(kinds)
        assert amounts["newest"] == Decimal(max(of_subject, key=lambda one: one["time"])["data"]["gross"])
