"""The auditor finds a troubled log right, and names whatever somebody does to what was counted."""

import json
import re
import signal
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from faults.administering import Administrator
from faults.conftest import ScenarioFactory
from faults.scenario import Scenario
from faults.test_catalogs import CHANGED_YAML
from oracle.logs import HOUR_US

from aggregator.store import proof
from aggregator.store.connection import Connection, StoreOptions, connect
from metering.cli.exits import Exit
from metering.dev.conditions import until
from schemas.instant import format_time

LOG_US: Final = 1_780_000_000_000_000 // HOUR_US * HOUR_US
KEYS: Final = {"what", "at", "checked", "wrong", "unreadable", "findings"}


class Proofs(NamedTuple):
    """What came of a round: everything that was checked, and what is open at its end."""

    checked: dict[str, int]  # by what
    unreadable: dict[str, int]
    findings: dict[str, list[dict[str, Any]]]

    def kinds(self) -> dict[str, set[str]]:
        return {what: {one["kind"] for one in found} for what, found in self.findings.items() if found}

    def places(self, kind: str) -> list[dict[str, Any]]:
        return [one["place"] for found in self.findings.values() for one in found if one["kind"] == kind]


async def proved(
    scenario: Scenario, exits: Exit, *, seed: int = 7, windows: int = 400, **environment: str
) -> Proofs:
    """What `metering prove --once` says."""
    proving = scenario.commands.start(
        "prove", "--once", "--windows", f"{windows}", "--seed", f"{seed}", "--json", **environment
    )
    assert await proving.ended(deadline_s=90) == exits, proving.log.read_text() + proving.output.read_text()
    proofs = Proofs({}, {}, {})
    for line in map(json.loads, proving.output.read_text().splitlines()):
        assert set(line) == KEYS
        what = line["what"]
        proofs.checked[what] = proofs.checked.get(what, 0) + line["checked"]
        proofs.unreadable[what] = proofs.unreadable.get(what, 0) + line["unreadable"]
        proofs.findings[what] = line["findings"]
        assert line["wrong"] == len(line["findings"])
    assert set(proofs.checked) >= {"windows", "ledger", "log"}
    return proofs


async def counted(scenario: Scenario, records: int) -> Connection:
    """A log with everything in it, counted under two catalogs, and final."""
    await scenario.set_up()
    traffic = scenario.traffic(log_us=LOG_US)
    await scenario.publish(traffic.records(records))
    await scenario.catch_up()
    await scenario.apply_catalog(CHANGED_YAML)
    await scenario.publish(traffic.records(records))
    await scenario.catch_up()
    await scenario.commands.run("close", "--once")
    return await scenario.witness()


SAVED: Final = """
CREATE TABLE saved_window AS SELECT * FROM usage_window;
CREATE TABLE saved_member AS SELECT * FROM window_member;
CREATE TABLE saved_adjustment AS SELECT * FROM adjustment;
CREATE TABLE saved_batch AS SELECT * FROM batch;
CREATE TABLE chosen AS
SELECT DISTINCT ON (v.meter) v.meter, w.series_id, w.window_start, w.shard, s.subject, v.meter_version_id
FROM usage_window AS w JOIN series AS s USING (series_id) JOIN meter_version AS v USING (meter_version_id)
JOIN meter_watermark AS f USING (meter_version_id)
WHERE w.window_start < f.final_before AND v.version = 1
ORDER BY v.meter, w.events DESC, s.subject, w.window_start;
"""
RESTORED: Final = """
DELETE FROM usage_window; INSERT INTO usage_window SELECT * FROM saved_window;
DELETE FROM window_member; INSERT INTO window_member SELECT * FROM saved_member;
DELETE FROM adjustment; INSERT INTO adjustment SELECT * FROM saved_adjustment;
DELETE FROM batch; INSERT INTO batch SELECT * FROM saved_batch;
"""
TAMPERED: Final = """
UPDATE usage_window SET value = value + 1 WHERE (series_id, window_start, shard) IN (
    SELECT series_id, window_start, shard FROM chosen WHERE meter = 'tokens');
DELETE FROM usage_window WHERE (series_id, window_start, shard) IN (
    SELECT series_id, window_start, shard FROM chosen WHERE meter = 'calls');
UPDATE window_member SET member = member || '!' WHERE (series_id, window_start, shard) IN (
    SELECT series_id, window_start, shard FROM chosen WHERE meter = 'models');
"""
LATE: Final = """
UPDATE adjustment AS a SET value = value + 1 FROM meter_version AS v
WHERE v.meter_version_id = a.meter_version_id AND v.meter = 'tokens' AND (a.partition, a.record_offset) = (
    SELECT a.partition, a.record_offset FROM adjustment AS a JOIN meter_version AS v USING (meter_version_id)
    WHERE v.meter = 'tokens' AND a.kind = 'late' ORDER BY a.log_time LIMIT 1
)
RETURNING a.partition, a.record_offset, a.meter_version_id
"""
HOLE: Final = """
DELETE FROM batch WHERE (partition, first_offset) = (
    SELECT partition, first_offset FROM batch WHERE partition = 1 ORDER BY first_offset OFFSET 2 LIMIT 1
)
RETURNING first_offset, next_offset
"""
MOVED: Final = """
UPDATE batch SET duplicate = duplicate - 1, gap = gap + 1 WHERE (partition, first_offset) = (
    SELECT partition, first_offset FROM batch WHERE partition = 2 AND duplicate > 0
    ORDER BY first_offset LIMIT 1
)
RETURNING first_offset
"""


async def everything_is_proved(scenario: Scenario, witness: Connection) -> None:
    """All final windows are recounted and equal, and most of what stands beside any."""
    proofs = await proved(scenario, Exit.OK)
    assert not proofs.kinds()
    assert not any(proofs.unreadable.values())
    windows = await witness.fetchval(
        "SELECT count(*) FROM usage_window JOIN series USING (series_id) JOIN meter_watermark"
        " USING (meter_version_id) WHERE window_start < final_before"
    )
    beside = dict(map(tuple, await witness.fetch("SELECT kind, count(*) FROM adjustment GROUP BY kind")))
    assert beside["late"] > 50
    assert beside["void"] > 10
    assert proofs.checked["windows"] > windows + sum(beside.values()) / 2
    # The same of parts of the log, with what comes before them unknown.
    for seed in range(3):
        of_parts = await proved(scenario, Exit.OK, seed=seed, METERING_PROVE_RECORDS="200")
        assert not of_parts.kinds()
        assert 0 < of_parts.checked["windows"] < proofs.checked["windows"]


async def one_at_work_finds_it_and_sees_it_put_right(scenario: Scenario, witness: Connection) -> None:
    """An auditor that goes on; one that is to prove once meanwhile tells what that one has proved."""
    working = scenario.commands.start("prove", METERING_PROVE_INTERVAL_S="0.2")
    await working.logged("round_ended")
    await witness.execute(TAMPERED)
    wrong = await working.logged("found_wrong", deadline_s=60)
    assert wrong["kind"] in {"window", "totals"}
    await witness.execute(RESTORED)
    await working.logged("put_right", deadline_s=60)

    async def is_content() -> bool:
        return not any(one.proof.wrong for one in (await proof.newest(connection)).values())

    connection = await connect(scenario.dsn, StoreOptions(role="metering_reader"))
    try:
        assert await until(is_content, deadline_s=60)
    finally:
        await connection.close()
    assert not (await proved(scenario, Exit.OK)).kinds()
    working.send_signal(signal.SIGTERM)
    assert await working.ended() == Exit.OK


async def without_brokers_the_tables_are_proved(scenario: Scenario) -> None:
    proofs = await proved(scenario, Exit.UNREACHABLE, METERING_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert proofs.unreadable["log"]
    assert proofs.checked["ledger"] > 0
    assert proofs.checked["totals"] > 0


@pytest.mark.timeout(400)  # many rounds, each a process
async def test_what_somebody_did_is_named_until_it_is_put_right(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    """Late events, voids, gauges, members, repairs and meters that have changed are all right."""
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    witness = await counted(scenario, 600)
    await everything_is_proved(scenario, witness)
    await witness.execute("SET session_replication_role = replica")  # as a person who knows how
    await witness.execute(SAVED)
    await one_at_work_finds_it_and_sees_it_put_right(scenario, witness)
    await without_brokers_the_tables_are_proved(scenario)

    await witness.execute(TAMPERED)
    meters = (
        "SELECT subject, meter_version_id, shard FROM chosen WHERE meter IN ('tokens', 'calls', 'models')"
    )
    windows = list(map(tuple, await witness.fetch(meters)))
    ((late,), (hole,), (moved,)) = [await witness.fetch(one) for one in (LATE, HOLE, MOVED)]

    def all_is_named(proofs: Proofs) -> None:
        named = [
            (one["subject"], one["meter_version_id"], one["partition"]) for one in proofs.places("window")
        ]
        assert sorted(named) == sorted(windows)
        assert [
            tuple(one[name] for name in ("partition", "offset", "meter_version_id"))
            for one in proofs.places("adjustment")
        ] == [tuple(late)]
        (gap,) = [one for one in proofs.findings["ledger"] if one["kind"] == "ledger"]
        assert (gap["place"]["partition"], gap["expected"], gap["found"]) == (1, *hole)
        assert proofs.places("records") == [{"partition": 2, "from": moved["first_offset"]}]
        assert {
            (one["partition"], one.get("outcome"), one.get("rows")) for one in proofs.places("conservation")
        } >= {(2, "duplicate", None), (2, "gap", None), (late["partition"], None, "late")}
        assert {one["rows"] for one in proofs.places("totals")} == {"window", "beside"}
        assert not proofs.findings["log"]

    found = await proved(scenario, Exit.PROBLEMS)
    all_is_named(found)
    (wrong,) = [
        one
        for one in found.findings["windows"]
        if one["place"]["meter"] == "tokens" and one["kind"] == "window"
    ]
    assert wrong["expected"]["first_offset"] == wrong["found"]["first_offset"]
    assert wrong["expected"]["value"] != wrong["found"]["value"]

    # The log is deleted but for its end: what was found stands, and nothing else can be said of it any more.
    ends = await scenario.next_offsets()
    administrator = Administrator(scenario.bootstrap_servers, scenario.rules.name)
    await administrator.delete_records({partition: end - 1 for partition, end in ends.items()})
    found = await proved(scenario, Exit.PROBLEMS)
    all_is_named(found)
    assert found.unreadable["windows"]

    await witness.execute(RESTORED)
    found = await proved(scenario, Exit.OK)
    assert not found.kinds()
    assert found.unreadable["windows"]


FLIPPED: Final = """
UPDATE dedupe_chunk SET entries = set_byte(entries, $1, get_byte(entries, $1) # 1)
WHERE (event_hour, partition, first_offset) = (
    SELECT event_hour, partition, first_offset FROM dedupe_chunk
    ORDER BY length(entries) DESC, event_hour, partition LIMIT 1
)
RETURNING partition
"""
CHANGED_BYTES: Final = [0, 16 + 7, 32 + 11, 48 + 12, 64 + 14, 80 + 15]
"""One of each entry: of who it is, of what it says, its hour."""


@pytest.mark.timeout(600)  # many rounds, each a process
async def test_an_id_that_was_changed_in_any_of_its_parts_is_named_until_it_is_put_right(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    """A copy of its event would be counted again, and no total would show it."""
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    await scenario.set_up()
    await scenario.publish(scenario.traffic(log_us=LOG_US).records(400, {"timely": 1}))
    await scenario.catch_up()
    await scenario.commands.run("close", "--once")
    witness = await scenario.witness()
    assert not (await proved(scenario, Exit.OK)).kinds()
    partitions = [await witness.fetchval(FLIPPED, byte) for byte in CHANGED_BYTES]
    found = await proved(scenario, Exit.PROBLEMS)
    assert found.kinds() == {"ledger": {"ids"}}
    assert [place["partition"] for place in found.places("ids")] == partitions
    doctor = scenario.commands.start("doctor", "--json")
    assert await doctor.ended(deadline_s=90) == Exit.PROBLEMS
    results = {one["code"]: one for one in map(json.loads, doctor.output.read_text().splitlines())}
    assert [row["place"] for row in results["proof"]["rows"]] == found.places("ids")

    # The log is deleted but for its end: what was found stands until it is put right.
    for byte in CHANGED_BYTES[1:]:
        await witness.fetchval(FLIPPED, byte)
    ends = await scenario.next_offsets()
    administrator = Administrator(scenario.bootstrap_servers, scenario.rules.name)
    await administrator.delete_records({partition: end - 1 for partition, end in ends.items()})
    (still,) = (await proved(scenario, Exit.PROBLEMS)).places("ids")
    assert still in found.places("ids")
    await witness.fetchval(FLIPPED, CHANGED_BYTES[0])
    assert not (await proved(scenario, Exit.OK)).kinds()


CHANGED: Final = """
UPDATE usage_window SET value = value + 1 WHERE (series_id, window_start, shard) = (
    SELECT w.series_id, w.window_start, w.shard FROM usage_window AS w JOIN chosen AS c USING (series_id)
    WHERE c.meter = 'tokens' ORDER BY w.window_start, w.series_id LIMIT 1
)
RETURNING series_id, (extract(epoch FROM window_start) * 1000000)::bigint AS start_us, shard
"""
DELETED: Final = """
DELETE FROM usage_window WHERE (series_id, window_start, shard) = (
    SELECT w.series_id, w.window_start, w.shard FROM usage_window AS w JOIN chosen AS c USING (series_id)
    WHERE c.meter = 'calls' ORDER BY w.window_start, w.series_id LIMIT 1
)
RETURNING series_id, (extract(epoch FROM window_start) * 1000000)::bigint AS start_us, shard
"""
PAGE: Final = Path(__file__).parents[2] / "docs" / "runbooks" / "totals-wrong.md"


def put_right(window: dict[str, Any]) -> str:
    """The statements of the page, with what the finding says."""
    place, expected = window["place"], window["expected"]
    groups = ("NULL" if one is None else f"'{one}'" for one in place["groups"])
    blanks = {
        "VALUE": expected["value"],
        "EVENTS": f"{expected['events']}",
        "METER_VERSION_ID": f"{place['meter_version_id']}",
        "SUBJECT": place["subject"],
        "GROUPS": f"ARRAY[{', '.join(groups)}]",
        "PARTITION": f"{place['partition']}",
        "WINDOW": place["window"],
    }
    (_, after) = PAGE.read_text().split("```sql\n")
    return re.sub(
        "|".join(rf"\b{name}\b" for name in blanks), lambda word: blanks[word[0]], after.split("```")[0]
    )


BY_ONE_WINDOW: Final[dict[str, Any]] = {"windows": 1, "METERING_PROVE_RECORDS": "200"}


@pytest.mark.timeout(400)  # many rounds, each a process
async def test_one_wrong_window_among_many_is_looked_for(
    scenario_on: ScenarioFactory, kafka_bootstrap: str, database: str
) -> None:
    """Its sum is wrong, so the round goes back through that log for it; else a round is as random as ever."""
    scenario = scenario_on(kafka_bootstrap, database, clock="record")
    witness = await counted(scenario, 600)
    await witness.execute("SET session_replication_role = replica")
    await witness.execute(SAVED)
    before = await proved(scenario, Exit.OK, **BY_ONE_WINDOW)
    assert 0 < before.checked["windows"] < await witness.fetchval("SELECT count(*) / 4 FROM usage_window")
    for tampered in (CHANGED, DELETED):
        (row,) = await witness.fetch(tampered)
        found = await proved(scenario, Exit.PROBLEMS, **BY_ONE_WINDOW)
        (window,) = [one for one in found.findings["windows"] if one["kind"] == "window"]
        of = await witness.fetchrow(
            "SELECT v.meter, meter_version_id, subject, groups FROM series JOIN meter_version AS v"
            " USING (meter_version_id) WHERE series_id = $1",
            row["series_id"],
        )
        assert of is not None
        assert window["place"] == {
            **dict(of),
            "window": format_time(row["start_us"]),
            "window_us": row["start_us"],
            "partition": row["shard"],
        }
        assert (window["found"] is None) == (tampered is DELETED)
        (total,) = found.places("totals")
        assert (total["partition"], total["meter_version_id"]) == (row["shard"], of["meter_version_id"])
        if tampered is CHANGED:
            await witness.execute("SET session_replication_role = origin")
            await witness.execute(put_right(window))
            await witness.execute("SET session_replication_role = replica")
        else:
            await witness.execute(RESTORED)
        assert not (await proved(scenario, Exit.OK)).kinds()
    after = await proved(scenario, Exit.OK, **BY_ONE_WINDOW)
    assert after.checked["windows"] == before.checked["windows"]
