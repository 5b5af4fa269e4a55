"""What is kept of proofs, and that what they read stays cheap on grown tables."""

import asyncpg
import pytest
from integration.store.conftest import Connect
from integration.store.counting import Store
from integration.store.explaining import explain, grown_tables, nodes, sequential_scans

from aggregator.health.finding import Finding, Kind
from aggregator.store import proof
from aggregator.store.proof import FINDINGS_KEPT, Proof
from aggregator.store.statements import STATEMENTS

ROWS = 30_000
GROWN = """
SELECT ensure_partitions(kind, ARRAY['2026-09-01', '2026-10-01']::timestamptz[])
FROM unnest(ARRAY['batch', 'batch_meter', 'usage_window']) AS kind;
INSERT INTO batch (partition, first_offset, next_offset, epoch, log_time, accepted, duplicate, conflict,
    quarantined, tick, gap, lost, unmetered, late_by_pipeline, catalog_head, worker)
SELECT n % 2, 10 * (n / 2), 10 * (n / 2) + 10, 1, timestamptz '2026-09-15' + n * interval '1 minute',
    10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 'tests'
FROM generate_series(0, 30000) AS n;
INSERT INTO batch_meter (partition, first_offset, log_time, meter_version_id, matched, increments,
    adjustments, errors, increment_sum, adjustment_sum)
SELECT b.partition, b.first_offset, b.log_time, 1, 10, 9, 1, 0, 9, 1 FROM batch AS b;
INSERT INTO adjustment (partition, meter_version_id, record_offset, series_id, window_start, event_time,
    batch_first_offset, log_time, value, kind, events)
SELECT b.partition, 1, b.first_offset, 1, '2026-09-01', '2026-09-01', b.first_offset, b.log_time, 1, 'late', 1
FROM batch AS b;
INSERT INTO quarantine (partition, record_offset, record_time, timestamp_type, code, detail, headers)
SELECT b.partition, b.first_offset + 1, now(), 1, 'not_json', '', '[]' FROM batch AS b;
INSERT INTO series (meter_version_id, is_other, key, subject, groups)
SELECT 1, false, decode(md5(n::text), 'hex'), 'subject-' || n, ARRAY[]::text[]
FROM generate_series(1, 30000) AS n;
INSERT INTO usage_window (series_id, window_start, first_offset, shard, last_offset, events, value)
SELECT n, timestamptz '2026-09-15' + n % 720 * interval '1 hour', n, n % 2, n, 1, 1
FROM generate_series(1, 30000) AS n;
INSERT INTO proof (what, checked, wrong, unreadable, findings)
SELECT w.what, 1, 0, 0, '[]'
FROM unnest(ARRAY['windows', 'ledger', 'log']) AS w (what), generate_series(1, 30000);
ANALYZE;
"""
BOUNDED = [
    "ledger_from",
    "batch_before",
    "meter_ledger_from",
    "adjustments_of_batches",
    "quarantine_of_batches",
    "greatest_series",
    "sampled_subjects",
    "newest_proofs",
    "proofs_since",
    "proved_accuracy",
    "forget_proofs",
]
"""Not those that re-add everything: the auditor asks for these the more seldom, the longer they take."""


def finding(number: int) -> Finding:
    return Finding(Kind.WINDOW, "It differs.", {"partition": number, "groups": None}, {"value": "1/3"}, None)


async def test_the_newest_of_each_kind_says_what_is_open(store: Store, connected: Connect) -> None:
    many = [finding(number) for number in range(FINDINGS_KEPT + 1)]
    await proof.keep(store.worker, [Proof("windows", 500, 101, 0, many), Proof("log", 4, 0, 1, [])])
    await proof.keep(store.worker, [Proof("windows", 300, 1, 2, many[:1])])
    reader = await connected(role="metering_reader")
    newest = await proof.newest(reader)
    assert {what: one.proof for what, one in newest.items()} == {
        "windows": Proof("windows", 300, 1, 2, many[:1]),
        "log": Proof("log", 4, 0, 1, []),
    }
    assert all(one.read_us >= one.at_us for one in newest.values())
    first, log, last = await proof.since(reader, 0, 10)
    assert [finding.place for finding in first.proof.findings] == [one.place for one in many[:-1]]
    assert [one.proof_id for one in await proof.since(reader, log.proof_id, 10)] == [last.proof_id]
    accuracy = await proof.accuracy(reader)
    assert (accuracy, accuracy.share) == ((800, 102), 698 / 800)


async def test_nothing_compared_is_no_accuracy(store: Store) -> None:
    assert (await proof.accuracy(store.worker)).share is None
    await proof.keep(store.worker, [Proof("windows", 0, 0, 7, [])])
    assert (await proof.accuracy(store.worker)).share is None


async def test_old_proofs_are_let_go_and_others_never(store: Store) -> None:
    for _ in range(3):
        await proof.keep(store.worker, [Proof("log", 1, 0, 0, []), Proof("windows", 1, 0, 0, [])])
    for statement in ("UPDATE proof SET wrong = 0", "TRUNCATE proof", "DELETE FROM proof"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await store.owner.execute(statement)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await store.worker.execute("UPDATE proof SET wrong = 0")
    await store.owner.execute(
        "SET session_replication_role = replica;"
        "UPDATE proof SET at = at - interval '9 days' WHERE what = 'log';"
        "SET session_replication_role = origin"
    )
    await proof.keep(store.worker, [Proof("log", 1, 0, 0, [])])
    assert await store.owner.fetch("SELECT what, count(*) FROM proof GROUP BY what ORDER BY what") == [
        ("log", 1),
        ("windows", 3),
    ]


async def test_a_proof_costs_the_same_on_grown_tables(store: Store) -> None:
    await store.owner.execute(GROWN)
    grown = await grown_tables(store.owner, ROWS // 4)
    assert {"batch_202609", "batch_meter_202609", "adjustment", "quarantine", "series", "proof"} <= grown
    for name in BOUNDED:
        assert not await sequential_scans(store.owner, name) & grown, name
    for name, parameters in (("ledger_from", 3), ("batch_before", 2), ("newest_proofs", 0)):
        plan = await explain(store.owner, STATEMENTS[name], parameters)
        assert not [node for node in nodes(plan) if node["Node Type"] == "Sort"], name
