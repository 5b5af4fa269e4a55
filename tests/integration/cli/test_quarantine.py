"""Refused records come back once each, whoever asks for it how often and is killed in between."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from integration.cli.fixtures import Metering, write
from integration.worker.world import waits_for_a_lock
from support.processes import Commands

from metering.quarantine.redrive import PAGE
from schemas.binding import CONTENT_TYPE, STRUCTURED_MEDIA_TYPE
from schemas.control import tick, void, void_id
from schemas.event import UsageEvent
from schemas.instant import parse_time_us
from schemas.partitioner import murmur2_partition

PARTITIONS = 3
TOPIC = f"name: refused\npartitions: {PARTITIONS}\npartitioner: murmur2\nclock: record\nretention_ms: -1\n"

CATALOG = """\
meters:
  - {name: tokens, event_type: call, aggregation: sum, value: tokens, group_by: [model], window: 1h,
     grace: 15m}
  - {name: calls, event_type: call, aggregation: count, window: 1h, grace: 15m}
"""
BOTH_FIELDS = CATALOG.replace("value: tokens", "value: usage.tokens")
MODE = [(CONTENT_TYPE, STRUCTURED_MEDIA_TYPE.encode())]
Event = dict[str, Any]


class Log:
    """Writes records with times of their own, and remembers what is to be counted in the end."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, database: str) -> None:
        self._producer = producer
        self._topic = topic
        self.database = database
        self.tokens: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    async def write(
        self, value: Event | bytes | None, at: str, *, subject: str = "acme", elsewhere: int = 0
    ) -> tuple[int, int]:
        """Append a record; where it lies."""
        content = json.dumps(value).encode() if isinstance(value, dict) else value
        home = murmur2_partition(subject.encode(), PARTITIONS)
        sent = await self._producer.send_and_wait(
            self._topic,
            content,
            key=subject.encode(),
            partition=(home + elsewhere) % PARTITIONS,
            timestamp_ms=parse_time_us(at) // 1000,
            headers=MODE,
        )
        return sent.partition, sent.offset

    async def write_all(self, events: Sequence[Event], at: str) -> None:
        """Append events of one subject, quickly."""
        subject = events[0]["subject"].encode()
        sent = [
            await self._producer.send(
                self._topic,
                json.dumps(one).encode(),
                key=subject,
                partition=murmur2_partition(subject, PARTITIONS),
                timestamp_ms=parse_time_us(at) // 1000,
                headers=MODE,
            )
            for one in events
        ]
        await asyncio.gather(*sent)

    async def ticks(self, at: str) -> None:
        for partition in range(PARTITIONS):
            time_us = parse_time_us(at)
            value = tick("tests", f"tick-{at}-{partition}", time_us, f"partition-{partition}")
            await self._producer.send_and_wait(
                self._topic, value, partition=partition, timestamp_ms=time_us // 1000, headers=MODE
            )

    def counts(self, event: Event, tokens: int) -> Event:
        """The event is to be counted, once, with so many tokens."""
        self.tokens[event["subject"]] += tokens
        self.calls[event["subject"]] += 1
        return event

    async def is_exact(self, metering: Metering) -> None:
        for meter, expected in (("tokens", self.tokens), ("calls", self.calls)):
            totals = (await metering("totals", "--meter", meter, "--json")).lines
            assert {one["subject"]: int(one["value"]) for one in totals} == dict(expected)
        await metering("doctor")


def event(id: str, time: str, *, subject: str = "acme", **data: Any) -> Event:  # noqa: A002
    return {
        "specversion": "1.0",
        "id": id,
        "source": "tests",
        "type": "call",
        "subject": subject,
        "time": time,
        "data": {"model": "m", **data},
    }


@pytest_asyncio.fixture
async def log(
    metering: Metering, settings: dict[str, str], kafka_bootstrap: str, database: str
) -> AsyncIterator[Log]:
    write("topic.yaml", TOPIC)
    write("metering.toml", 'topic_file = "topic.yaml"\n')
    write("catalog.yaml", CATALOG)
    await metering("migrate")
    await metering("topics", "apply")
    await metering("catalog", "apply", "catalog.yaml")
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer:
        yield Log(producer, settings["METERING_TOPIC"], database)


async def counted(commands: Commands) -> None:
    await commands.run("worker", "--until-caught-up", METERING_POSTGRES_ROLE="metering_worker")
    await commands.run("close", "--once")


async def states(metering: Metering) -> dict[tuple[str, str | None], str]:
    """By code and id, what has become of each record."""
    listed = (await metering("quarantine", "list", "--records", "--json")).lines
    return {(one["code"], one["id"]): one["state"] for one in listed}


WHY = ("--reason", "the producer is mended", "--by", "alice", "--json")


async def test_what_was_refused_comes_back_once(log: Log, metering: Metering, commands: Commands) -> None:
    for hour in range(10, 20):
        for subject in ("acme", "umbrella", "initech"):
            usage = event(f"good-{hour}", f"2023-11-16T{hour}:10:00Z", subject=subject, tokens=hour)
            usage["source"] = subject
            await log.write(log.counts(usage, hour), usage["time"], subject=subject)
    late = log.counts(event("old", "2023-11-13T10:00:00Z", tokens=1), 1)
    await log.write(late, "2023-11-16T19:30:00Z")
    early = log.counts(event("early", "2023-11-16T22:00:00Z", tokens=20), 20)
    await log.write(early, "2023-11-16T19:31:00Z")
    broken = await log.write(b"{", "2023-11-16T19:32:00Z")
    await log.write(log.counts(event("taken", "2023-11-16T19:00:00Z", tokens=5), 5), "2023-11-16T19:33:00Z")
    other = await log.write(event("taken", "2023-11-16T19:00:00Z", tokens=6), "2023-11-16T19:33:00Z")
    moved = event("moved", "2023-11-16T19:01:00Z", usage={"tokens": 300})
    await log.write(log.counts(moved, 300), "2023-11-16T19:34:00Z")
    wordy = event("wordy", "2023-11-16T19:02:00Z", tokens="many")
    worded = await log.write(log.counts(wordy, 4000), "2023-11-16T19:34:00Z")
    nothing = await log.write(None, "2023-11-16T19:35:00Z")
    astray = log.counts(event("astray", "2023-11-16T19:03:00Z", tokens=70_000), 70_000)
    await log.write(astray, "2023-11-16T19:36:00Z", elsewhere=1)
    withdrawn = event("withdrawn", "2023-11-16T19:04:00Z", tokens=900_000)
    usage = UsageEvent.model_validate(withdrawn)
    await log.write(void(usage, json.dumps(withdrawn["data"]).encode()), "2023-11-16T19:37:00Z")
    await log.write(withdrawn, "2023-11-16T19:38:00Z")
    await log.ticks("2023-11-16T20:20:00Z")
    await counted(commands)
    assert await states(metering) == {
        ("too_old", "old"): "open",
        ("in_future", "early"): "open",
        ("not_json", None): "open",
        ("conflict", "taken"): "open",
        ("value_missing", "moved"): "open",
        ("value_not_number", "wordy"): "open",
        ("no_value", None): "open",
        ("misplaced", "astray"): "counted",
        ("void_unmatched", void_id("tests", "withdrawn")): "open",
    }
    await log.ticks("2023-11-16T23:30:00Z")
    await counted(commands)

    first = (await metering("quarantine", "redrive", "--all", *WHY, "--dry-run", exits=4)).lines
    told = {one["code"]: one["refused_code"] for one in first}
    assert told == {
        "too_old": None,
        "in_future": None,
        "not_json": "needs_fix",
        "conflict": "needs_fix",
        "value_missing": "meter_cannot_read",
        "value_not_number": "meter_cannot_read",
        "no_value": "needs_fix",
        "void_unmatched": None,
    }
    write("catalog.yaml", BOTH_FIELDS)
    await metering("catalog", "apply", "catalog.yaml", "--effective-from", "2023-11-18T00:00:00Z")
    again = (await metering("quarantine", "redrive", "--all", *WHY, exits=4)).lines
    assert {one["code"] for one in again if one["result"] == "redriven"} == {
        "too_old",
        "in_future",
        "value_missing",
        "void_unmatched",
    }
    twice = (await metering("quarantine", "redrive", "--all", *WHY, exits=4)).lines
    assert [one for one in twice if one["result"] == "redriven"] == []
    assert (await states(metering))["too_old", "old"] == "redriven"

    mended = log.counts(event("mended", "2023-11-16T19:05:00Z", tokens=2), 2)
    write("mended.json", json.dumps(mended))
    own = log.counts(event("own", "2023-11-16T19:00:00Z", tokens=6), 6)
    write("own.json", json.dumps(own))
    write("number.json", json.dumps(wordy | {"data": {"model": "m", "tokens": 4000}}))
    for place, name in ((broken, "mended"), (other, "own"), (worded, "number")):
        where = map(str, place)
        await metering("quarantine", "fix", *where, "--value", f"{name}.json", *WHY)
    await metering("quarantine", "discard", "--partition", str(nothing[0]), "--offset", str(nothing[1]), *WHY)
    await counted(commands)
    assert set((await states(metering)).values()) == {"counted", "discarded"}
    await log.is_exact(metering)
    assert (await metering("quarantine", "redrive", "--all", *WHY)).lines == []


@asynccontextmanager
async def blocking(database: str, statement: str) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that has run a statement and does not end; it is undone in the end."""
    connection = await asyncpg.connect(database, server_settings={"search_path": "metering"})
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(statement)
    try:
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


async def test_whoever_is_killed_half_way_each_record_counts_once(
    log: Log, metering: Metering, commands: Commands
) -> None:
    await log.write(log.counts(event("new", "2023-11-20T10:00:00Z", tokens=1), 1), "2023-11-20T10:00:00Z")
    old = [event(f"old-{n}", "2023-11-16T10:00:00Z", tokens=n) for n in range(2 * PAGE)]
    await log.write_all([log.counts(one, one["data"]["tokens"]) for one in old], "2023-11-20T10:01:00Z")
    await log.ticks("2023-11-20T10:02:00Z")
    await counted(commands)

    # The second page has a record that somebody else is deciding about.
    in_the_way = """
        INSERT INTO quarantine_action
            (partition, record_offset, meter_version_id, attempt, action, who, reason)
        SELECT partition, record_offset, 0, 1, 'discard', 'eve', 'slow'
        FROM quarantine ORDER BY record_offset DESC LIMIT 1
    """
    async with blocking(log.database, in_the_way) as connection:
        redriving = commands.start("quarantine", "redrive", "--all", *WHY)
        await waits_for_a_lock(log.database)
        redriving.kill()
        assert await connection.fetchval("SELECT count(*) FROM quarantine_action WHERE who = 'alice'") == PAGE
    ran = await metering("quarantine", "redrive", "--all", *WHY)
    assert len(ran.lines) == PAGE

    # The worker has published a thousand, and cannot write down where.
    async with blocking(log.database, "SELECT FROM redrive_outbox FOR UPDATE"):
        worker = commands.start("worker", METERING_POSTGRES_ROLE="metering_worker")
        await waits_for_a_lock(log.database)
        worker.kill()
    await counted(commands)
    assert set((await states(metering)).values()) == {"counted"}
    (status,) = (await metering("status", "--json")).lines
    outcomes = Counter[str]()
    for partition in status["partitions"]:
        outcomes.update(partition["outcomes"])
    assert outcomes["duplicate"] >= 2 * PAGE, "they were published twice, or this test says little"
    await log.is_exact(metering)


async def test_what_comes_back_in_vain_waits_again(log: Log, metering: Metering, commands: Commands) -> None:
    at = "2023-11-16T10:00:00Z"
    await log.write(log.counts(event("known", at, tokens=1), 1), at)
    place = tuple(map(str, await log.write(b"{", at)))
    await log.ticks(at)
    await counted(commands)
    write("event.json", json.dumps(event("known", at, tokens=2)))
    await metering("quarantine", "fix", *place, "--value", "event.json", *WHY)
    ran = await metering("quarantine", "fix", *place, "--value", "event.json", *WHY, exits=4)
    assert ran.problems[0]["title"] == "already_decided"
    await counted(commands)
    assert await states(metering) == {("not_json", None): "refused_again", ("conflict", "known"): "repair"}
    (group,) = (await metering("quarantine", "list", "--code", "not_json", "--json")).lines
    assert (group["waiting"], group["records"]) == (1, 1)
    write("event.json", json.dumps(log.counts(event("unknown", at, tokens=2), 2)))
    await metering("quarantine", "fix", *place, "--value", "event.json", *WHY)
    await counted(commands)
    assert await states(metering) == {("not_json", None): "counted", ("conflict", "known"): "repair"}
    (shown,) = (await metering("quarantine", "show", *place, "--json")).lines
    assert [(one["attempt"], one["action"], one["by"]) for one in shown["decisions"]] == [
        (1, "fix", "alice"),
        (2, "fix", "alice"),
    ]
    assert shown["value"] == "{"
    told = (await metering("audit", "--action", "quarantine.fix", "--json")).lines
    assert [one["target"] for one in told] == ["/".join(place)] * 2
    assert told[0]["detail"]["sent_sha256"] == sha256(Path("event.json").read_bytes()).hexdigest()
    assert told[0]["detail"]["value_sha256"] == sha256(b"{").hexdigest()
    await log.is_exact(metering)


async def test_what_a_meter_cannot_read_of_a_repair_comes_back_for_that_meter(
    log: Log, metering: Metering, commands: Commands
) -> None:
    """Two hops, each of its own: the record is repaired for all meters, and its repair for one."""
    await log.write(log.counts(event("new", "2023-11-20T10:00:00Z", tokens=1), 1), "2023-11-20T10:00:00Z")
    old = log.counts(event("old", "2023-11-16T10:00:00Z", tokens="many"), 30)
    await log.write(old, "2023-11-20T10:00:00Z")
    await log.ticks("2023-11-20T10:00:00Z")
    await counted(commands)
    await metering("quarantine", "redrive", "--subject", "acme", *WHY)
    await counted(commands)
    assert await states(metering) == {("too_old", "old"): "counted", ("value_not_number", "old"): "open"}
    (error,) = (
        await metering("quarantine", "list", "--records", "--code", "value_not_number", "--json")
    ).lines
    assert error["origin"].endswith("code=too_old")
    write("event.json", json.dumps(old | {"data": {"model": "m", "tokens": 30}}))
    where = str(error["partition"]), str(error["offset"])
    await metering("quarantine", "fix", *where, "--meter", "tokens", "--value", "event.json", *WHY)
    await counted(commands)
    assert await states(metering) == {("too_old", "old"): "counted", ("value_not_number", "old"): "counted"}
    await log.is_exact(metering)


async def test_a_correction_is_judged_before_anything_is_written(
    log: Log, metering: Metering, commands: Commands
) -> None:
    at = "2023-11-16T10:00:00Z"
    await log.write(log.counts(event("known", at, tokens=1), 1), at)
    taken = await log.write(event("known", at, tokens=2), at)
    wordy = await log.write(event("wordy", at, tokens="many"), at)
    log.calls["acme"] += 1
    await log.ticks(at)
    await counted(commands)
    for place, value, code in (
        (taken, b"{", "not_json"),
        (taken, event("known", at, tokens=2), "id_is_taken"),
        (taken, event("later", "2023-11-17T10:00:00Z", tokens=2), "not_yet"),
        (taken, event("older", "2023-10-01T10:00:00Z", tokens=2), "too_old_to_repair"),
        (wordy, event("wordy", at, subject="umbrella", tokens=2), "other_event"),
        (wordy, event("wordy", at, tokens="more"), "value_not_number"),
    ):
        Path("event.json").write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
        where = map(str, place)
        ran = await metering("quarantine", "fix", *where, "--value", "event.json", *WHY, exits=4)
        assert ran.problems[0]["title"] == code
    write("event.json", json.dumps(event("own", at, tokens=2)))
    await metering("quarantine", "fix", "0", "99", "--value", "event.json", *WHY, exits=2)
    for asked in (("redrive",), ("discard",), ("redrive", "--code", "not_jsn"), ("redrive", "--offset", "1")):
        await metering("quarantine", *asked, *WHY, exits=2)
    await metering("quarantine", "discard", "--all", exits=2)
    await metering("quarantine", "discard", "--all", "--reason", "", exits=2)
    assert set((await states(metering)).values()) == {"open"}
    assert (await metering("audit", "--json")).out.count("quarantine.") == 0
    ran = await metering("quarantine", "discard", "--all", *WHY)
    assert len(ran.lines) == 2
    assert set((await states(metering)).values()) == {"discarded"}
    await counted(commands)
    await log.is_exact(metering)


PRICED = (
    CATALOG
    + """\
plans:
  - name: cheap
    currency: EUR
    rounding: {places: 2}
    charges: [{name: tokens, meter: tokens, price: {model: per_unit, unit_price: 0.01}}]
  - name: dear
    currency: EUR
    rounding: {places: 2}
    charges: [{name: tokens, meter: tokens, price: {model: per_unit, unit_price: 0.03}}]
"""
)


async def test_the_money_at_risk_is_that_of_what_waits_and_can_be_read(
    log: Log, metering: Metering, commands: Commands
) -> None:
    write("catalog.yaml", PRICED)
    await metering("catalog", "apply", "catalog.yaml")
    await log.ticks("2023-11-20T10:00:00Z")
    for n in range(3):
        await log.write(event(f"{n}", "2023-11-16T10:00:00Z", tokens=100 + n), "2023-11-20T10:00:00Z")
    await log.write(b"{", "2023-11-20T10:00:00Z")
    await counted(commands)
    await metering("quarantine", "discard", "--partition", "0", "--offset", "999", *WHY)
    groups = {one["code"]: one for one in (await metering("quarantine", "list", "--json")).lines}
    old = groups["too_old"]
    assert old["usage"] == [
        {"meter": "calls", "events": 3, "quantity": "3"},
        {"meter": "tokens", "events": 3, "quantity": "303"},
    ]
    assert old["at_risk"] == [{"currency": "EUR", "least": "3.03", "most": "9.09"}]
    assert (old["waiting"], old["not_estimated"], old["source"]) == (3, 0, "tests")
    assert (groups["not_json"]["at_risk"], groups["not_json"]["not_estimated"]) == ([], 1)
    assert "EUR 3.03 to 9.09" in (await metering("quarantine", "list")).out
    await metering("quarantine", "redrive", "--code", "too_old", *WHY)
    (old,) = (await metering("quarantine", "list", "--code", "too_old", "--json")).lines
    assert (old["waiting"], old["states"]["redriven"], old["at_risk"]) == (0, 3, [])
