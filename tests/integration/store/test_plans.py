"""Statements that count, rate or read what was rated find their rows by an index, however much there is."""

import re

import pytest_asyncio
from integration.store.batches import T0, Spoken
from integration.store.counting import Store
from integration.store.explaining import explain, grown_tables, nodes, sequential_scans

from aggregator.store.statements import STATEMENTS
from schemas.instant import HOUR_US

GROWN_ROWS = 5_000

HOT = [
    "claim_partitions",
    "ledger_ends",
    "memory_entries",
    "archived_entries",
    "group_values",
    "clock_caps",
    "catalog_head",
    "advance_partitions",
    "insert_batches",
    "insert_batch_meters",
    "insert_chunks",
    "find_series",
    "insert_series",
    "merge_windows",
    "replace_windows",
    "insert_members",
    "insert_points",
    "insert_adjustments",
    "insert_quarantined",
    "insert_misplaced",
    "lock_partition_rows",
    "take_misplaced",
    "mark_published",
    "take_redriven",
    "mark_redriven",
    "pending_repairs",
    "repair_targets",
    "compact_hour",
    "partition_states",
    "quarantined_record",
    "refusals_of",
    "quarantine_history",
    "waiting_quarantined",
    "offsets_behind",
    "newest_periods_of",
    "batches_before",
    "newest_meter_activity",
    "newest_proofs",
    "subjects_after",
    "proved_accuracy",
    "newest_quarantined",
    "totals",
    "topic_frontiers",
    "closing",
    "watermarks",
    "advance_closing",
    "advance_watermarks",
]

BILLING = [
    "due_periods",
    "advance_subscriptions",
    "insert_rated_totals",
    "threshold_crossings",
    "newest_versions",
    "due_cuts",
    "insert_pending_cuts",
    "delete_pending_cuts",
    "adjusted_usage",
    "first_to_look_at",
    "promoted_subscriptions",
    "is_rated",
    "batch_spans",
    "usage_sums",
    "usage_windows",
    "usage_members",
    "usage_points",
    "insert_feed",
    "read_feed",
    "read_feed_of_customers",
    "read_feed_of_kind",
    "has_version",
    "newest_of_each_period",
    "versions_of_period",
    "rated_document",
    "usage_subjects",
    "rated_periods_page",
]

RANGE = [
    "boundary_at",
    "boundary_reaching",
    "reading_start",
    "foretold_refusals",
]

CARRIED = {"carried_points": {"series"}, "carried_adjustments": {"series", "adjustment"}}
"""They ask of every gauge, so that they may read these; points are many more than they need."""

GROW = """
INSERT INTO series (meter_version_id, is_other, key, subject, groups)
SELECT 1 + place % 6, false, decode(lpad(to_hex(place), 32, '0'), 'hex'), 'subject-' || place, '{}'
FROM generate_series(1, 20000) AS place;

INSERT INTO usage_window (series_id, window_start, first_offset, shard, last_offset, events, value)
SELECT series_id, start, 0, 0, 9, 1, 1
FROM series, unnest($1::timestamptz[]) AS start;

INSERT INTO window_member (series_id, window_start, shard, member)
SELECT series_id, start, 0, 'member' FROM series, unnest($1::timestamptz[]) AS start;

INSERT INTO window_point (series_id, window_start, point_time, point_offset, shard, value)
SELECT series_id, start, start, 0, 0, 1 FROM series, unnest($1::timestamptz[]) AS start;

INSERT INTO adjustment
SELECT 0, 1, series_id, series_id, start, start, 0, start, 1, NULL, 'late', 1
FROM series, unnest(($1::timestamptz[])[1:1]) AS start;

INSERT INTO dedupe_chunk (event_hour, first_offset, partition, entries)
SELECT date_trunc('day', start) + place % 24 * interval '1 hour', place, place % 16, bytes
FROM unnest($1::timestamptz[]) AS start, generate_series(1, 6000) AS place,
    decode('00112233445566778899aabbccddeeff', 'hex') AS bytes;

INSERT INTO batch
SELECT 1, place, place + 1, 1, start, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, NULL, 'tests'
FROM unnest($1::timestamptz[]) WITH ORDINALITY AS s (start, turn),
    generate_series(10000 * turn, 10000 * turn + 5999) AS place;

INSERT INTO batch_meter
SELECT 1, first_offset, log_time, 1, 0, 0, 0, 0, 0, 0 FROM batch;

INSERT INTO quarantine (partition, record_offset, record_time, timestamp_type, code, detail, headers)
SELECT 0, place, now(), 1, (ARRAY['misplaced', 'too_old', 'bad_time'])[1 + place % 3], '', '[]'
FROM generate_series(1000, 20000) AS place;

INSERT INTO repair_outbox
SELECT 0, 1, record_offset, record_offset, now(), 1 FROM quarantine WHERE code = 'misplaced';
INSERT INTO quarantine_action (partition, record_offset, meter_version_id, attempt, action, who, reason)
SELECT partition, record_offset, 0, 1, 'redrive', 'al', 'why' FROM quarantine WHERE code = 'too_old';
INSERT INTO redrive_outbox SELECT action_id, 1, 1, action_id, now() FROM quarantine_action;
INSERT INTO counted_repair SELECT 1, 0, action_id, record_offset, partition, 'too_old' FROM quarantine_action;
UPDATE redrive_outbox SET published_offset = NULL, published_at = NULL, published_partition = NULL
WHERE action_id > 6300;
UPDATE repair_outbox SET published_offset = NULL, published_at = NULL, published_partition = NULL
WHERE record_offset > 19950;

INSERT INTO subscription_rating
SELECT 'payer-' || place, start, start + place * interval '1 minute'
FROM (SELECT ($1::timestamptz[])[1] AS start), generate_series(1, 20000) AS place;
INSERT INTO pending_cut SELECT subscription, next_period_start, due_at FROM subscription_rating;
INSERT INTO rated_total
SELECT
    subscription, next_period_start, 1, 'of ' || subscription, next_period_start + interval '1 hour', due_at,
    'EUR', 1, '1', NULL, '{1}', '{1}', '{1}', row_number() OVER (), now(), sha256('{}'), '{}'
FROM subscription_rating;
INSERT INTO feed
SELECT
    feed_position, (ARRAY['rated_total', 'threshold'])[1 + feed_position % 2], subscription, customer,
    subscription, '{}'
FROM rated_total;
INSERT INTO threshold_crossing SELECT subscription, period_start, 'amount 1', feed_position FROM rated_total;
"""


@pytest_asyncio.fixture
async def grown(store: Store) -> Store:
    """Months of usage, so that no planner would read a table from end to end for a few rows."""
    starts = [T0, T0 + 40 * 24 * HOUR_US, T0 + 80 * 24 * HOUR_US]
    for table in ("batch", "batch_meter", "usage_window", "window_member", "window_point", "dedupe_chunk"):
        await store.worker.fetchval("SELECT ensure_partitions($1, $2)", table, starts)
    for statement in GROW.strip().split(";"):
        if statement.strip():
            arguments = [starts] if "$1" in statement else []
            await store.owner.execute(statement, *arguments)
    await store.owner.execute("ANALYZE")
    return store


async def test_no_statement_reads_a_grown_table_from_end_to_end(grown: Store) -> None:
    is_grown = await grown_tables(grown.owner, GROWN_ROWS)
    assert len({name for name in is_grown if not name.endswith(("_pkey", "_key"))}) > 15
    assert is_grown >= {"subscription_rating", "pending_cut", "rated_total", "feed", "threshold_crossing"}
    scanned = {
        name: await sequential_scans(grown.worker, name) & is_grown for name in (*HOT, *BILLING, *RANGE)
    }
    assert {name: tables for name, tables in scanned.items() if tables} == {}


async def test_what_gauges_carry_into_a_range_is_found_without_reading_all_that_they_showed(
    grown: Store,
) -> None:
    is_grown = await grown_tables(grown.owner, GROWN_ROWS)
    for name, tables in CARRIED.items():
        assert await sequential_scans(grown.worker, name) & is_grown <= tables, name


READS = ["totals", "usage_sums", "usage_windows", "usage_members", "usage_points"]


async def test_replaced_windows_are_looked_for_in_an_index_of_nothing_else(grown: Store) -> None:
    """Among all adjustments nothing is read twice; where nothing was replaced, that index is empty."""
    for name in READS:
        parameters = [int(number) for number in re.findall(r"\$(\d+)", STATEMENTS[name])]
        plan = await explain(grown.worker, STATEMENTS[name], max(parameters))
        assert "adjustment_replacing" in {node.get("Index Name") for node in nodes(plan)}, name


async def test_a_page_of_what_waits_looks_at_no_more_records_than_it_needs(grown: Store) -> None:
    """What became of a record is asked on a walk that stops, not of all before they are put in order."""
    plan = await explain(grown.worker, STATEMENTS["waiting_quarantined"], 10)
    assert plan["Node Type"] == "Limit"
    assert "quarantine_action" in {node.get("Relation Name") for node in nodes(plan)}
    sorted_first = [
        node.get("Relation Name")
        for one in nodes(plan)
        if "Sort" in one["Node Type"] and one["Parent Relationship"] != "SubPlan"
        for node in nodes(one)
    ]
    assert "quarantine_action" not in sorted_first


async def test_a_scan_from_end_to_end_would_be_seen(grown: Store) -> None:
    """The test above can fail."""
    plan = await explain(grown.worker, "SELECT * FROM usage_window WHERE value = $1::numeric", 1)
    assert any(node["Node Type"] == "Seq Scan" for node in nodes(plan))


async def test_a_plan_does_not_depend_on_the_size_of_a_batch(grown: Store) -> None:
    """A batch with a row for every series is written by the plan that the tests above have seen."""
    log = grown.logs[0]
    await grown.flush(log.batch([Spoken(subject=f"subject-{number}") for number in range(3000)]))
    plans = await grown.worker.fetch("SELECT statement, custom_plans FROM pg_prepared_statements")
    assert sum(row["custom_plans"] for row in plans) == 0
    assert any("UPDATE usage_window" in row["statement"] for row in plans)
