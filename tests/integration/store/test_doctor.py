"""Each check finds what it is for, and the others stay silent: one corruption by hand, one finding."""

from collections.abc import Sequence

import pytest
from integration.rating.test_doctor import RATED_CORRUPTIONS
from integration.store.batches import MINUTE_US, T0, Spoken
from integration.store.counting import Store
from integration.store.terms import insert, new, price_plan, subscription

from aggregator.store import doctor
from schemas.codes import Code
from schemas.repair import RepairOrigin

DECIDE = """
    INSERT INTO quarantine_action (partition, record_offset, meter_version_id, attempt, action, who, reason)
    SELECT partition, record_offset, meter_version_id, """

CORRUPTIONS: Sequence[tuple[str, str]] = [
    ("topic_partitions", "UPDATE usage_topic SET partitions = 3"),
    (
        "ledger_gap",  # one offset twice, another not at all, so that every sum is right
        """
        UPDATE batch SET next_offset = 13, tick = tick + 1 WHERE partition = 0 AND first_offset = 0;
        UPDATE batch SET next_offset = 16, gap = gap - 1 WHERE partition = 0 AND first_offset = 12;
        UPDATE ingest_partition SET tick = tick + 1, gap = gap - 1 WHERE partition = 0;
        """,
    ),
    (
        "ledger_ends",
        """
        UPDATE ingest_partition
        SET first_offset = 99, next_offset = 102, last_offset = NULL, last_timestamp = NULL, last_hash = NULL
        WHERE partition = 1
        """,
    ),
    (
        "ledger_partition",
        """
        INSERT INTO batch
        SELECT 7, 0, 1, 1, log_time, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, NULL, 'x' FROM batch LIMIT 1
        """,
    ),
    (
        "ledger_time",
        "UPDATE ingest_partition SET frontier = frontier + interval '1 second' WHERE partition = 0",
    ),
    (
        "ledger_time",
        """
        UPDATE batch SET log_time = log_time + interval '10 minutes' WHERE partition = 0 AND first_offset = 0;
        UPDATE batch_meter SET log_time = log_time + interval '10 minutes'
        WHERE partition = 0 AND first_offset = 0;
        """,
    ),
    ("outcome_counters", "UPDATE ingest_partition SET tick = tick + 1, gap = gap - 1 WHERE partition = 0"),
    ("outcome_counters", "UPDATE ingest_partition SET unmetered = unmetered + 1 WHERE partition = 0"),
    (
        "lost_reason",
        """
        UPDATE ingest_partition SET lost = lost + 1, gap = gap - 1 WHERE partition = 0;
        UPDATE batch SET lost = lost + 1, gap = gap - 1 WHERE gap > 0;
        """,
    ),
    (
        "corrections",
        """
        INSERT INTO correction (
            first_number, next_number, log_time, who, reason, shadow_schema, evidence, catalog
        )
        VALUES (0, 1, now(), 'x', 'x', 'x', sha256('x'), '[]')
        """,
    ),
    (
        "replacements",  # as if a later promotion had known less
        """
        INSERT INTO correction (
            first_number, next_number, log_time, who, reason, shadow_schema, evidence, catalog
        )
        SELECT place, place + 1, '2026-09-01', 'x', 'x', 'x', sha256('x'), '[]'
        FROM generate_series(0, 1) AS place;
        INSERT INTO adjustment (
            partition, kind, record_offset, batch_first_offset, meter_version_id, series_id, window_start,
            events, value, event_time, replaces_before, log_time
        )
        SELECT
            -1, 'correction', place, place, s.meter_version_id, s.series_id, '2026-09-01', 0, 1, '2026-09-01',
            2 - place, '2026-09-01'
        FROM series AS s, generate_series(0, 1) AS place
        WHERE s.series_id = {max};
        """,
    ),
    ("ids", "DELETE FROM dedupe_chunk WHERE partition = 1"),
    ("ids", "INSERT INTO dropped_ids (event_day, partition, ids) VALUES ('2020-01-01', 0, 1)"),
    (
        "meter_ledger",
        "UPDATE batch SET unmetered = accepted; UPDATE ingest_partition SET unmetered = accepted",
    ),
    (
        "meter_ledger",
        """
        INSERT INTO batch_meter
        SELECT 0, 999, log_time, 1, 0, 0, 0, 0, 0, 0 FROM batch WHERE partition = 0 AND first_offset = 0
        """,
    ),
    (
        "meter_version",
        """
        INSERT INTO batch_meter
        SELECT 0, 0, log_time, 99, 0, 0, 0, 0, 0, 0 FROM batch WHERE partition = 0 AND first_offset = 0
        """,
    ),
    (
        "series_meter",
        """
        INSERT INTO series (meter_version_id, is_other, key, subject)
        VALUES (99, true, 'sixteen bytes...', 'acme')
        """,
    ),
    (
        "window_series",
        """
        INSERT INTO usage_window (series_id, window_start, first_offset, shard, last_offset, events)
        SELECT 9999, min(window_start), 0, 0, 0, 1 FROM usage_window
        """,
    ),
    ("window_totals", "UPDATE usage_window SET value = value + 1 WHERE series_id = {sum} AND shard = 0"),
    (
        "window_totals",
        """
        UPDATE usage_window SET events = events + 1, last_offset = last_offset + 1
        WHERE series_id = {count} AND shard = 0
        """,
    ),
    ("window_totals", "DELETE FROM usage_window WHERE series_id = {max} AND shard = 1"),
    ("adjustment_totals", "UPDATE adjustment SET value = value + 1 WHERE meter_version_id = 1"),
    ("adjustment_totals", "DELETE FROM adjustment WHERE meter_version_id = 2"),
    ("adjustment_totals", "DELETE FROM adjustment WHERE kind = 'void' AND meter_version_id = 2"),
    (
        "voids",
        """
        UPDATE adjustment SET window_start = window_start + interval '1 hour'
        WHERE kind = 'void' AND meter_version_id = 2
        """,
    ),
    (
        "voids",
        """
        UPDATE adjustment SET event_time = event_time + interval '1 second'
        WHERE kind = 'void' AND meter_version_id = 7
        """,
    ),
    ("adjustment_series", "UPDATE adjustment SET series_id = {count} WHERE meter_version_id = 1"),
    ("window_values", "UPDATE usage_window SET value = 1 WHERE series_id = {count} AND shard = 0"),
    ("window_values", "UPDATE usage_window SET value = NULL WHERE series_id = {min} AND shard = 0"),
    (
        "window_values",
        "UPDATE usage_window SET value_offset = last_offset + 1 WHERE series_id = {last} AND shard = 0",
    ),
    ("window_offsets", "UPDATE usage_window SET last_offset = 10000 WHERE series_id = {sum} AND shard = 0"),
    ("members", "DELETE FROM window_member WHERE shard = 1"),
    (
        "members",
        """
        INSERT INTO window_member
        SELECT series_id, window_start, shard, place::text
        FROM usage_window, generate_series(100, 120) AS place
        WHERE series_id = {unique} AND shard = 0
        """,
    ),
    ("points", "UPDATE window_point SET point_offset = point_offset + 100 WHERE shard = 1"),
    ("points", "DELETE FROM window_point WHERE point_time > window_start"),
    (
        "late_windows",  # its last event came in a batch that began behind its end and grace
        "UPDATE usage_window SET window_start = window_start - interval '1 hour' WHERE series_id = {count}",
    ),
    (
        "closing",
        "INSERT INTO closing (log_time) SELECT max(frontier) + interval '1 second' FROM ingest_partition",
    ),
    (
        "watermarks",  # ahead of the closing
        """
        INSERT INTO closing (log_time) SELECT min(frontier) FROM ingest_partition;
        INSERT INTO meter_watermark
        SELECT 1, '1 hour', '0', date_trunc('hour', min(frontier)) + interval '1 hour' FROM ingest_partition
        """,
    ),
    (
        "watermarks",  # behind it
        """
        INSERT INTO closing (log_time) SELECT min(frontier) FROM ingest_partition;
        INSERT INTO meter_watermark
        SELECT 1, '1 hour', '0', date_trunc('hour', min(frontier)) - interval '1 hour' FROM ingest_partition
        """,
    ),
    (
        "watermarks",  # of another window
        """
        INSERT INTO closing (log_time) SELECT min(frontier) FROM ingest_partition;
        INSERT INTO meter_watermark
        SELECT 1, '1 minute', '0', date_trunc('minute', min(frontier)) FROM ingest_partition
        """,
    ),
    ("watermarks", "INSERT INTO meter_watermark VALUES (1, '1 hour', '0', '2026-01-01 00:00:00+00')"),
    ("final_guard", "DROP TRIGGER final_update ON usage_window_202609"),
    ("final_guard", "ALTER TABLE window_member DISABLE TRIGGER final_insert"),
    ("quarantine_rows", "DELETE FROM quarantine WHERE code = 'too_old'"),
    ("meter_errors", "DELETE FROM quarantine WHERE meter_version_id > 0"),
    ("outbox", "DELETE FROM repair_outbox"),
    ("repair_origins", "INSERT INTO counted_repair VALUES (1, 0, 2, 999, 0, 'too_old')"),
    ("repair_origins", "UPDATE counted_repair SET origin_code = 'too_old'"),
    ("repair_origins", "INSERT INTO counted_repair VALUES (1, 0, 2, 5, 0, 'misplaced')"),
    ("outbox", "INSERT INTO repair_outbox VALUES (0, 1, 999)"),
    ("redriven", DECIDE + "1, 'redrive', 'al', 'why' FROM quarantine WHERE code = 'too_old'"),
    ("redriven", DECIDE + "2, 'discard', 'al', 'why' FROM quarantine WHERE code = 'too_old'"),
    ("redriven", DECIDE + "1, 'discard', 'al', 'why' FROM quarantine WHERE code = 'misplaced'"),
    ("term_versions", "DELETE FROM plan_version WHERE version = 1"),
    ("term_versions", "UPDATE subscription_version SET version = 3 WHERE version = 2"),
    (
        "term_versions",
        """
        UPDATE subscription_version SET definition = definition || jsonb_build_object('anchor', '2026-09-02')
        WHERE version = 2
        """,
    ),
    ("subscription_subjects", "DELETE FROM subscription_subject WHERE subject = 'acme-eu'"),
    ("subscription_subjects", "UPDATE subscription_subject SET customer = 'eve' WHERE subject = 'acme-us'"),
    ("subscription_subjects", "INSERT INTO subscription_subject VALUES ('beta', 'acme-pro', 'acme')"),
]
"""What is done to a schema that adds up, and the one check that must see it."""


@pytest.fixture
async def counted(store: Store) -> Store:
    """Something of every kind, over two batches of each partition."""
    await store.flush(
        store.logs[0].batch(
            [
                Spoken(3),
                Spoken(4, time_us=T0 + MINUTE_US),
                Spoken(5, groups=None),
                Spoken(7, is_late=True),
                Spoken(refused="too_old"),
                Spoken(refused="misplaced", target_partition=1),
                Spoken(meter_error="sum"),
            ],
            ticks=3,
            unmetered=2,
        ),
        store.logs[1].batch([Spoken(8), Spoken(9, repairs=RepairOrigin(0, 5, Code.MISPLACED))]),
    )
    await store.flush(
        store.logs[0].batch([Spoken(2, time_us=T0 + 2 * MINUTE_US), Spoken(3, is_void=True)], gap=2, ticks=1),
        store.logs[1].batch(ticks=1),
    )
    await store.flush(store.logs[0].batch(ticks=1))
    terms = [subscription(subjects=subjects) for subjects in (["acme-eu", "acme-us"], ["acme-us"])]
    await insert(store.owner, *(new(price_plan(minimum=number), number) for number in (1, 2)))
    await insert(store.owner, *(new(one, number) for number, one in enumerate(terms, start=1)))
    return store


async def test_everything_has_its_findings(counted: Store) -> None:
    """All corruptions on one schema, each undone before the next: what is found is the check it is for."""
    assert await doctor.checks(counted.owner) == []
    assert {code for code, _ in [*CORRUPTIONS, *RATED_CORRUPTIONS]} == set(doctor.CHECKS)
    series = await _series(counted)
    found: list[tuple[str, list[str]]] = []
    for code, statement in CORRUPTIONS:
        corruption = counted.owner.transaction()
        await corruption.start()
        await counted.owner.execute("SET LOCAL session_replication_role = replica")  # no triggers
        await counted.owner.execute(statement.format(**series))
        findings = await doctor.findings(counted.owner)
        await corruption.rollback()
        found.append((code, [finding.code for finding in findings]))
    assert [(code, codes) for code, codes in found if codes != [code]] == []
    assert await doctor.checks(counted.owner) == []


async def test_a_finding_shows_its_rows(counted: Store) -> None:
    await counted.owner.execute("DELETE FROM dedupe_chunk WHERE partition = 1")
    (finding,) = await doctor.checks(counted.owner)
    assert finding.code == "ids"
    assert finding.sentence == doctor.CHECKS["ids"]
    assert finding.rows == [{"partition": 1, "accepted": 2, "in_chunks": 0, "dropped": 0}]
    assert finding.row_count == 1


async def test_only_the_first_rows_are_shown(counted: Store) -> None:
    await counted.owner.execute(
        """
        INSERT INTO series (meter_version_id, is_other, key, subject)
        SELECT 99, true, decode(lpad(to_hex(place), 32, '0'), 'hex'), 'x' FROM generate_series(1, 50) AS place
        """
    )
    (finding,) = await doctor.checks(counted.owner)
    assert (len(finding.rows), finding.row_count) == (20, 50)


async def test_an_empty_schema_is_well(store: Store) -> None:
    assert await doctor.checks(store.owner) == []
    await store.owner.execute(
        "UPDATE ingest_partition SET next_offset = next_offset + 1, tick = 1 WHERE partition = 0"
    )
    assert [finding.code for finding in await doctor.checks(store.owner)] == [
        "ledger_ends",
        "outcome_counters",
    ]


async def _series(store: Store) -> dict[str, int]:
    """A series of each aggregation that has windows in both partitions."""
    rows = await store.owner.fetch(
        """
        SELECT s.meter_version_id, min(s.series_id) FROM series AS s JOIN usage_window AS w USING (series_id)
        WHERE NOT s.is_other GROUP BY 1
        """
    )
    return {store.kinds[version]: series_id for version, series_id in rows}
