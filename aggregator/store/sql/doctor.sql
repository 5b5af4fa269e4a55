-- Each statement returns the rows that break one rule: none if all is well. They are read in one snapshot.

-- name: doctor_topic_partitions
SELECT t.partitions AS partitions_of_topic, count(p.partition) AS rows
FROM usage_topic AS t LEFT JOIN ingest_partition AS p ON p.partition < t.partitions
GROUP BY t.partitions
HAVING t.partitions <> count(p.partition) OR t.partitions <> (SELECT count(*) FROM ingest_partition)

-- name: doctor_ledger_gap
SELECT l.partition, l.previous AS expected_offset, l.first_offset AS found_offset
FROM (
    SELECT b.partition, b.first_offset, lag(b.next_offset) OVER (PARTITION BY b.partition ORDER BY b.first_offset)
        AS previous
    FROM batch AS b
) AS l
WHERE l.previous <> l.first_offset
ORDER BY l.partition, l.first_offset

-- name: doctor_ledger_ends
SELECT p.partition, p.first_offset, l.first_offset AS ledger_first, p.next_offset, l.next_offset AS ledger_next
FROM ingest_partition AS p
LEFT JOIN (
    SELECT b.partition, min(b.first_offset) AS first_offset, max(b.next_offset) AS next_offset
    FROM batch AS b
    GROUP BY b.partition
) AS l ON l.partition = p.partition
WHERE CASE WHEN l.partition IS NULL
    THEN p.next_offset <> p.first_offset
    ELSE (p.first_offset, p.next_offset) <> (l.first_offset, l.next_offset)
END
ORDER BY p.partition

-- name: doctor_ledger_partition
SELECT DISTINCT b.partition FROM batch AS b
WHERE NOT EXISTS (SELECT FROM ingest_partition AS p WHERE p.partition = b.partition)

-- name: doctor_ledger_time
SELECT l.partition, l.first_offset, l.previous AS earlier_log_time, l.log_time
FROM (
    SELECT b.partition, b.first_offset, b.log_time, lag(b.log_time) OVER (PARTITION BY b.partition ORDER BY b.first_offset)
        AS previous
    FROM batch AS b
) AS l
WHERE l.previous > l.log_time
UNION ALL
SELECT p.partition, p.next_offset, b.log_time, p.frontier
FROM ingest_partition AS p JOIN batch AS b ON b.partition = p.partition AND b.next_offset = p.next_offset
WHERE b.log_time <> p.frontier

-- name: doctor_outcome_counters
SELECT p.partition, o.outcome, o.in_ledger, o.in_partition
FROM ingest_partition AS p
LEFT JOIN (
    SELECT
        b.partition, sum(b.accepted) AS accepted, sum(b.duplicate) AS duplicate, sum(b.conflict) AS conflict,
        sum(b.quarantined) AS quarantined, sum(b.tick) AS tick, sum(b.gap) AS gap, sum(b.lost) AS lost,
        sum(b.unmetered) AS unmetered
    FROM batch AS b
    GROUP BY b.partition
) AS l ON l.partition = p.partition
CROSS JOIN LATERAL (
    VALUES
        ('accepted', coalesce(l.accepted, 0), p.accepted),
        ('duplicate', coalesce(l.duplicate, 0), p.duplicate),
        ('conflict', coalesce(l.conflict, 0), p.conflict),
        ('quarantined', coalesce(l.quarantined, 0), p.quarantined),
        ('tick', coalesce(l.tick, 0), p.tick),
        ('gap', coalesce(l.gap, 0), p.gap),
        ('lost', coalesce(l.lost, 0), p.lost),
        ('unmetered', coalesce(l.unmetered, 0), p.unmetered)
) AS o (outcome, in_ledger, in_partition)
WHERE o.in_ledger <> o.in_partition
ORDER BY p.partition, o.outcome

-- name: doctor_lost_reason
SELECT p.partition, p.lost, coalesce(s.lost, 0) AS skipped
FROM ingest_partition AS p
LEFT JOIN (
    SELECT s.partition, sum(s.next_offset - s.first_offset) AS lost FROM skipped AS s GROUP BY s.partition
) AS s ON s.partition = p.partition
WHERE p.lost <> coalesce(s.lost, 0)
ORDER BY p.partition

-- name: doctor_ids
SELECT p.partition, p.accepted, coalesce(c.ids, 0) AS in_chunks, coalesce(d.ids, 0) AS dropped
FROM ingest_partition AS p
LEFT JOIN (
    SELECT c.partition, sum(length(c.entries) / 16) AS ids FROM dedupe_chunk AS c GROUP BY c.partition
) AS c ON c.partition = p.partition
LEFT JOIN (SELECT d.partition, sum(d.ids) AS ids FROM dropped_ids AS d GROUP BY d.partition) AS d
    ON d.partition = p.partition
WHERE p.accepted <> coalesce(c.ids, 0) + coalesce(d.ids, 0)
ORDER BY p.partition

-- name: doctor_meter_ledger
-- Each accepted event that is not unmetered matches at least one meter, and each meter at most once.
SELECT
    coalesce(b.partition, m.partition) AS partition, coalesce(b.first_offset, m.first_offset) AS first_offset,
    b.accepted, b.unmetered, m.matched, m.most
FROM batch AS b
FULL JOIN (
    SELECT m.partition, m.first_offset, m.log_time, sum(m.matched) AS matched, max(m.matched) AS most
    FROM batch_meter AS m
    GROUP BY m.partition, m.first_offset, m.log_time
) AS m ON m.partition = b.partition AND m.first_offset = b.first_offset AND m.log_time = b.log_time
WHERE b.partition IS NULL
    OR coalesce(m.matched, 0) < b.accepted - b.unmetered
    OR coalesce(m.most, 0) > b.accepted - b.unmetered
ORDER BY 1, 2

-- name: doctor_meter_version
SELECT DISTINCT m.meter_version_id FROM batch_meter AS m
WHERE NOT EXISTS (SELECT FROM meter_version AS v WHERE v.meter_version_id = m.meter_version_id)

-- name: doctor_series_meter
SELECT s.series_id, s.meter_version_id, s.subject FROM series AS s
WHERE NOT EXISTS (SELECT FROM meter_version AS v WHERE v.meter_version_id = s.meter_version_id)
ORDER BY s.series_id

-- name: doctor_window_series
SELECT u.kind, u.series_id, count(*) AS rows
FROM (
    SELECT 'window' AS kind, w.series_id FROM usage_window AS w
    UNION ALL
    SELECT 'member', m.series_id FROM window_member AS m
    UNION ALL
    SELECT 'point', p.series_id FROM window_point AS p
    UNION ALL
    SELECT 'adjustment', a.series_id FROM adjustment AS a
) AS u
WHERE NOT EXISTS (SELECT FROM series AS s WHERE s.series_id = u.series_id)
GROUP BY u.kind, u.series_id
ORDER BY u.kind, u.series_id

-- name: doctor_window_totals
-- Windows re-added against the second ledger, by partition and meter version.
SELECT
    coalesce(l.partition, w.shard) AS partition, coalesce(l.meter_version_id, w.meter_version_id) AS meter_version_id,
    coalesce(l.events, 0) AS events_in_ledger, coalesce(w.events, 0) AS events_in_windows,
    coalesce(l.value, 0) AS sum_in_ledger, coalesce(w.value, 0) AS sum_in_windows
FROM (
    SELECT m.partition, m.meter_version_id, sum(m.increments) AS events, sum(m.increment_sum) AS value
    FROM batch_meter AS m
    GROUP BY m.partition, m.meter_version_id
) AS l
FULL JOIN (
    SELECT
        w.shard, s.meter_version_id, sum(w.events) AS events,
        sum(w.value) FILTER (WHERE v.definition ->> 'aggregation' = 'sum') AS value
    FROM usage_window AS w
    JOIN series AS s ON s.series_id = w.series_id
    LEFT JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
    GROUP BY w.shard, s.meter_version_id
) AS w ON w.shard = l.partition AND w.meter_version_id = l.meter_version_id
WHERE coalesce(l.events, 0) <> coalesce(w.events, 0) OR coalesce(l.value, 0) <> coalesce(w.value, 0)
ORDER BY 1, 2

-- name: doctor_adjustment_totals
-- Corrections come from a replay, not from the log: no ledger knows them. Nor does that of a replayed range know what
-- gauges carry into it.
SELECT
    coalesce(l.partition, a.partition) AS partition, coalesce(l.meter_version_id, a.meter_version_id) AS meter_version_id,
    coalesce(l.kind, a.kind) AS kind,
    coalesce(l.events, 0) AS events_in_ledger, coalesce(a.events, 0) AS adjustments,
    coalesce(l.value, 0) AS sum_in_ledger, coalesce(a.value, 0) AS sum_of_adjustments
FROM (
    SELECT m.partition, m.meter_version_id, k.kind, sum(k.events) AS events, sum(k.value) AS value
    FROM batch_meter AS m
    CROSS JOIN LATERAL (
        VALUES ('late', m.adjustments, m.adjustment_sum), ('void', m.voids, m.void_sum)
    ) AS k (kind, events, value)
    GROUP BY m.partition, m.meter_version_id, k.kind
) AS l
FULL JOIN (
    SELECT
        a.partition, a.meter_version_id, a.kind, count(*) AS events,
        sum(a.value) FILTER (WHERE v.definition ->> 'aggregation' = 'sum') AS value
    FROM adjustment AS a
    LEFT JOIN meter_version AS v ON v.meter_version_id = a.meter_version_id
    WHERE a.kind <> 'correction'
        AND a.window_start >= coalesce((SELECT r.since FROM replay AS r), '-infinity')
    GROUP BY a.partition, a.meter_version_id, a.kind
) AS a ON a.partition = l.partition AND a.meter_version_id = l.meter_version_id AND a.kind = l.kind
WHERE coalesce(l.events, 0) <> coalesce(a.events, 0) OR coalesce(l.value, 0) <> coalesce(a.value, 0)
ORDER BY 1, 2, 3

-- name: doctor_adjustment_series
SELECT a.partition, a.record_offset, a.meter_version_id, s.meter_version_id AS version_of_series
FROM adjustment AS a JOIN series AS s ON s.series_id = a.series_id
WHERE s.meter_version_id <> a.meter_version_id
ORDER BY a.partition, a.record_offset

-- name: doctor_voids
-- Events of a series and window that were withdrawn, against those that were counted; of a gauge each point, of all
-- others any event, since their windows do not keep them apart.
SELECT v.partition, v.series_id, v.window_start, v.event_time, v.value, v.voids, coalesce(w.events, 0) + v.late AS counted
FROM (
    SELECT
        a.partition, a.series_id, a.window_start, g.event_time, g.value,
        count(*) FILTER (WHERE a.kind = 'void') AS voids, count(*) FILTER (WHERE a.kind = 'late') AS late
    FROM adjustment AS a
    JOIN meter_version AS m ON m.meter_version_id = a.meter_version_id
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN m.definition ->> 'aggregation' = 'gauge' THEN a.event_time END AS event_time,
            CASE WHEN m.definition ->> 'aggregation' = 'gauge' THEN a.value END AS value
    ) AS g
    WHERE a.kind <> 'correction'
    GROUP BY a.partition, a.series_id, a.window_start, g.event_time, g.value
) AS v
CROSS JOIN LATERAL (
    SELECT CASE WHEN v.event_time IS NULL
        THEN (
            SELECT w.events FROM usage_window AS w
            WHERE w.series_id = v.series_id AND w.window_start = v.window_start AND w.shard = v.partition
        )
        ELSE (
            SELECT count(*) FROM window_point AS p
            WHERE p.series_id = v.series_id AND p.window_start = v.window_start AND p.shard = v.partition
                AND p.point_time = v.event_time AND p.value = v.value
        )
    END AS events
) AS w
WHERE v.voids > coalesce(w.events, 0) + v.late
ORDER BY v.partition, v.series_id, v.window_start, v.event_time

-- name: doctor_window_values
-- Every aggregation fills its own columns, and no others.
SELECT w.series_id, w.window_start, w.shard, v.definition ->> 'aggregation' AS aggregation, w.value, w.value_offset
FROM usage_window AS w
JOIN series AS s ON s.series_id = w.series_id
JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
WHERE NOT CASE
    WHEN v.definition ->> 'aggregation' IN ('count', 'unique')
        THEN num_nonnulls(w.value, w.value_time, w.value_offset) = 0
    WHEN v.definition ->> 'aggregation' IN ('last', 'gauge')
        THEN num_nulls(w.value, w.value_time, w.value_offset) = 0 AND w.value_time >= w.window_start
            AND w.value_offset BETWEEN w.first_offset AND w.last_offset
    ELSE w.value IS NOT NULL AND num_nonnulls(w.value_time, w.value_offset) = 0
END
ORDER BY w.series_id, w.window_start, w.shard

-- name: doctor_window_offsets
SELECT w.series_id, w.window_start, w.shard, w.first_offset, w.last_offset
FROM usage_window AS w LEFT JOIN ingest_partition AS p ON p.partition = w.shard
WHERE p.partition IS NULL OR w.first_offset < p.first_offset OR w.last_offset >= p.next_offset
ORDER BY w.series_id, w.window_start, w.shard

-- name: doctor_members
-- A window of a `unique` meter has members, no more than events; members have such a window.
SELECT
    coalesce(w.series_id, m.series_id) AS series_id, coalesce(w.window_start, m.window_start) AS window_start,
    coalesce(w.shard, m.shard) AS shard, coalesce(w.events, 0) AS events, coalesce(m.members, 0) AS members
FROM (
    SELECT w.series_id, w.window_start, w.shard, w.events
    FROM usage_window AS w
    JOIN series AS s ON s.series_id = w.series_id
    JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
    WHERE v.definition ->> 'aggregation' = 'unique'
) AS w
FULL JOIN (
    SELECT m.series_id, m.window_start, m.shard, count(*) AS members
    FROM window_member AS m
    GROUP BY m.series_id, m.window_start, m.shard
) AS m ON m.series_id = w.series_id AND m.window_start = w.window_start AND m.shard = w.shard
WHERE coalesce(m.members, 0) NOT BETWEEN 1 AND coalesce(w.events, 0)
ORDER BY 1, 2, 3

-- name: doctor_points
-- A window of a gauge has the points of its events, and holds the newest; points have such a window, but for those
-- that are carried into a replayed range.
SELECT
    coalesce(w.series_id, p.series_id) AS series_id, coalesce(w.window_start, p.window_start) AS window_start,
    coalesce(w.shard, p.shard) AS shard, coalesce(w.events, 0) AS events, coalesce(p.points, 0) AS points,
    w.value_offset, p.newest_offset
FROM (
    SELECT w.series_id, w.window_start, w.shard, w.events, w.value_time, w.value_offset, w.value
    FROM usage_window AS w
    JOIN series AS s ON s.series_id = w.series_id
    JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
    WHERE v.definition ->> 'aggregation' = 'gauge'
) AS w
FULL JOIN (
    SELECT
        p.series_id, p.window_start, p.shard, count(*) AS points, max(p.point_time) AS newest_time,
        (array_agg(p.point_offset ORDER BY p.point_time DESC, p.point_offset DESC))[1] AS newest_offset,
        (array_agg(p.value ORDER BY p.point_time DESC, p.point_offset DESC))[1] AS newest_value
    FROM window_point AS p
    WHERE p.window_start >= coalesce((SELECT r.since FROM replay AS r), '-infinity')
    GROUP BY p.series_id, p.window_start, p.shard
) AS p ON p.series_id = w.series_id AND p.window_start = w.window_start AND p.shard = w.shard
WHERE coalesce(w.events, 0) <> coalesce(p.points, 0)
    OR (w.value_time, w.value_offset, w.value) IS DISTINCT FROM (p.newest_time, p.newest_offset, p.newest_value)
ORDER BY 1, 2, 3

-- name: doctor_late_windows
-- The frontier before the batch that changed a window last: that of the ledger's rows that end before its last offset.
SELECT w.series_id, w.window_start, w.shard, w.last_offset, w.frontier_before
FROM (
    SELECT
        e.series_id, e.window_start, e.shard, e.at AS last_offset,
        max(e.log_time) OVER (
            PARTITION BY e.shard ORDER BY e.at, e.series_id NULLS FIRST ROWS UNBOUNDED PRECEDING
        ) AS frontier_before
    FROM (
        SELECT b.partition AS shard, b.next_offset AS at, b.log_time, NULL::bigint AS series_id,
            NULL::timestamptz AS window_start
        FROM batch AS b
        UNION ALL
        SELECT u.shard, u.last_offset, NULL, u.series_id, u.window_start FROM usage_window AS u
    ) AS e
) AS w
JOIN series AS s ON s.series_id = w.series_id
JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
WHERE w.frontier_before
    >= w.window_start + (v.definition ->> 'window')::interval + (v.definition ->> 'grace')::interval
ORDER BY w.series_id, w.window_start, w.shard

-- name: doctor_closing
SELECT p.partition, p.frontier, c.log_time AS closing
FROM closing AS c CROSS JOIN ingest_partition AS p
WHERE p.frontier < c.log_time
ORDER BY p.partition

-- name: doctor_watermarks
SELECT w.meter_version_id, w.window_length, w.grace, w.final_before, c.log_time AS closing
FROM meter_watermark AS w
LEFT JOIN meter_version AS v ON v.meter_version_id = w.meter_version_id
LEFT JOIN closing AS c ON true
WHERE NOT coalesce(
    (v.definition ->> 'window')::interval = w.window_length
        AND (v.definition ->> 'grace')::interval = w.grace
        AND w.final_before = date_bin(w.window_length, c.log_time - w.grace, timestamptz '1970-01-01 00:00:00+00'),
    false
)
ORDER BY w.meter_version_id

-- name: doctor_final_guard
-- Tables of windows are those that are partitioned by window_start; each time partition needs triggers of its own.
WITH guarded AS (
    SELECT c.oid FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'p' AND a.attname = 'window_start'
)
SELECT c.relname::text AS relation, g.name AS lacks
FROM (
    SELECT p.oid FROM guarded AS p
    UNION ALL
    SELECT i.inhrelid FROM pg_inherits AS i JOIN guarded AS p ON p.oid = i.inhparent
) AS r
JOIN pg_class AS c ON c.oid = r.oid
CROSS JOIN unnest(ARRAY['final_insert', 'final_update', 'final_delete', 'final_key', 'final_truncate']) AS g (name)
WHERE NOT EXISTS (
    SELECT FROM pg_trigger AS t WHERE t.tgrelid = r.oid AND t.tgname = g.name AND t.tgenabled IN ('O', 'A')
)
ORDER BY c.relname, g.name

-- name: doctor_quarantine_rows
SELECT p.partition, p.quarantined + p.conflict AS refused, coalesce(q.rows, 0) AS rows
FROM ingest_partition AS p
LEFT JOIN (
    SELECT q.partition, count(*) AS rows FROM quarantine AS q WHERE q.meter_version_id = 0 GROUP BY q.partition
) AS q ON q.partition = p.partition
WHERE p.quarantined + p.conflict <> coalesce(q.rows, 0)
ORDER BY p.partition

-- name: doctor_meter_errors
SELECT
    coalesce(l.partition, q.partition) AS partition, coalesce(l.meter_version_id, q.meter_version_id) AS meter_version_id,
    coalesce(l.errors, 0) AS errors, coalesce(q.rows, 0) AS rows
FROM (
    SELECT m.partition, m.meter_version_id, sum(m.errors) AS errors
    FROM batch_meter AS m
    GROUP BY m.partition, m.meter_version_id
) AS l
FULL JOIN (
    SELECT q.partition, q.meter_version_id, count(*) AS rows
    FROM quarantine AS q
    WHERE q.meter_version_id > 0
    GROUP BY q.partition, q.meter_version_id
) AS q ON q.partition = l.partition AND q.meter_version_id = l.meter_version_id
WHERE coalesce(l.errors, 0) <> coalesce(q.rows, 0)
ORDER BY 1, 2

-- name: doctor_outbox
SELECT
    coalesce(q.partition, o.partition) AS partition, coalesce(q.record_offset, o.record_offset) AS record_offset,
    q.partition IS NOT NULL AS is_quarantined, o.partition IS NOT NULL AS is_in_outbox
FROM (
    SELECT q.partition, q.record_offset FROM quarantine AS q
    WHERE q.code = 'misplaced' AND q.meter_version_id = 0
) AS q
FULL JOIN repair_outbox AS o ON o.partition = q.partition AND o.record_offset = q.record_offset
WHERE q.partition IS NULL OR o.partition IS NULL
ORDER BY 1, 2

-- name: doctor_repair_origins
-- What was refused before a replayed range begins is not in its quarantine.
SELECT
    r.origin_partition, r.origin_offset, r.origin_code, r.meter_version_id, count(*) AS repairs,
    min(r.partition) AS partition, min(r.record_offset) AS record_offset, bool_or(q.partition IS NOT NULL) AS is_in_quarantine
FROM counted_repair AS r
LEFT JOIN quarantine AS q
    ON q.partition = r.origin_partition AND q.record_offset = r.origin_offset
    AND q.meter_version_id = r.meter_version_id AND q.code = r.origin_code
WHERE NOT EXISTS (
    SELECT FROM replay AS s JOIN ingest_partition AS p ON p.partition = r.origin_partition
    WHERE s.since IS NOT NULL AND r.origin_offset < p.first_offset
)
GROUP BY r.origin_partition, r.origin_offset, r.origin_code, r.meter_version_id
HAVING count(*) > 1 OR NOT bool_or(q.partition IS NOT NULL)
ORDER BY 1, 2, 4

-- name: doctor_redriven
-- Each decision about a record is numbered, on its way if it brings the record back, and nothing given up is counted.
SELECT
    a.partition, a.record_offset, a.meter_version_id, count(*) AS attempts, max(a.attempt) AS newest,
    bool_or(a.action = 'discard') AS is_discarded, bool_or(s.state = 'counted') AS is_counted
FROM quarantine_action AS a
LEFT JOIN redrive_outbox AS r ON r.action_id = a.action_id
JOIN quarantine_state AS s
    ON s.partition = a.partition AND s.record_offset = a.record_offset AND s.meter_version_id = a.meter_version_id
GROUP BY a.partition, a.record_offset, a.meter_version_id
HAVING count(*) <> max(a.attempt)
    OR bool_or((a.action = 'discard') = (r.action_id IS NOT NULL))
    OR bool_or(a.action = 'discard') AND (bool_or(s.state = 'counted') OR max(a.attempt) FILTER (
        WHERE a.action = 'discard'
    ) < max(a.attempt))
ORDER BY 1, 2, 3

-- name: doctor_corrections
-- A promotion and its rows have the same numbers and log time, and no row is without a promotion. A range that is
-- replayed with other meters takes over only what was corrected before it.
SELECT
    c.first_number AS number, c.next_number - c.first_number AS promoted, count(a.record_offset) AS adjustments
FROM correction AS c
LEFT JOIN adjustment AS a
    ON a.partition = -1 AND a.kind = 'correction' AND a.record_offset >= c.first_number
    AND a.record_offset < c.next_number AND a.log_time = c.log_time
GROUP BY c.first_number, c.next_number
HAVING count(a.record_offset) <> c.next_number - c.first_number
    AND NOT EXISTS (SELECT FROM replay AS r WHERE r.since IS NOT NULL AND r.has_other_catalog)
UNION ALL
SELECT a.record_offset, 0, 1
FROM adjustment AS a
WHERE (a.kind = 'correction' OR a.partition = -1) AND NOT EXISTS (
    SELECT FROM correction AS c
    WHERE a.kind = 'correction' AND a.partition = -1
        AND a.record_offset >= c.first_number AND a.record_offset < c.next_number
)
ORDER BY 1

-- name: doctor_replacements
-- Corrections take the place of windows that do not add up, and of no others; those of one promotion agree on what was
-- known, and no later one knew less.
SELECT r.series_id, r.window_start, r.promotion, r.rows, r.replacing, r.least, r.most, r.before
FROM (
    SELECT
        a.series_id, a.window_start, a.batch_first_offset AS promotion, count(*) AS rows,
        count(a.replaces_before) AS replacing, min(a.replaces_before) AS least, max(a.replaces_before) AS most,
        lag(max(a.replaces_before)) OVER (
            PARTITION BY a.series_id, a.window_start ORDER BY a.batch_first_offset
        ) AS before
    FROM adjustment AS a
    WHERE a.kind = 'correction'
    GROUP BY a.series_id, a.window_start, a.batch_first_offset
) AS r
JOIN series AS s ON s.series_id = r.series_id
JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
WHERE r.replacing <> CASE WHEN v.definition ->> 'aggregation' IN ('sum', 'count') THEN 0 ELSE r.rows END
    OR r.least <> r.most OR r.least < r.before
ORDER BY 1, 2, 3

-- name: doctor_term_versions
SELECT 'plan' AS kind, p.plan AS name, count(*) AS versions, max(p.version) AS newest, 1 AS fixed_terms
FROM plan_version AS p
GROUP BY p.plan
HAVING count(*) <> max(p.version)
UNION ALL
SELECT 'subscription', s.subscription, count(*), max(s.version), count(DISTINCT s.fixed)
FROM (
    SELECT
        v.subscription, v.version,
        (
            v.customer, v.definition -> 'start', v.definition -> 'billing_period', v.definition -> 'timezone',
            v.definition -> 'anchor'
        ) AS fixed
    FROM subscription_version AS v
) AS s
GROUP BY s.subscription
HAVING count(*) <> max(s.version) OR count(DISTINCT s.fixed) > 1
ORDER BY 1, 2

-- name: doctor_subscription_subjects
SELECT
    coalesce(v.subscription, s.subscription) AS subscription, coalesce(v.subject, s.subject) AS subject,
    v.customer AS customer, s.customer AS found_for
FROM (
    SELECT DISTINCT v.subscription, v.customer, subject.value AS subject
    FROM subscription_version AS v
    CROSS JOIN LATERAL jsonb_array_elements_text(v.definition -> 'subjects') AS subject (value)
) AS v
FULL JOIN subscription_subject AS s
    ON s.subscription = v.subscription AND s.subject = v.subject AND s.customer = v.customer
WHERE v.subscription IS NULL OR s.subscription IS NULL
ORDER BY 1, 2
