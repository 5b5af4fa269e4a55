-- name: explained_windows
-- $1: meter versions; $2: subjects; $3, $4: [from, to) of window starts.
SELECT
    s.meter_version_id, s.subject, s.is_other, s.groups, w.window_start, w.shard, w.first_offset, w.last_offset,
    w.events, w.value, w.value_time, w.value_offset,
    ARRAY(
        SELECT m.member FROM window_member AS m
        WHERE m.series_id = w.series_id AND m.window_start = w.window_start AND m.shard = w.shard
        ORDER BY m.member
    ) AS members,
    (
        SELECT coalesce(jsonb_agg(jsonb_build_array(p.point_offset, p.value) ORDER BY p.point_offset), '[]')
        FROM window_point AS p
        WHERE p.series_id = w.series_id AND p.window_start = w.window_start AND p.shard = w.shard
    ) AS points
FROM series AS s
JOIN usage_window AS w ON w.series_id = s.series_id
WHERE s.meter_version_id = ANY ($1::integer[]) AND s.subject = ANY ($2::text[])
    AND w.window_start >= $3 AND w.window_start < $4
ORDER BY w.window_start, s.subject, s.is_other, s.groups, w.shard

-- name: explained_adjustments
SELECT
    s.meter_version_id, s.subject, s.is_other, s.groups, a.window_start, a.partition, a.record_offset, a.kind,
    a.events, a.value, a.member, a.event_time, a.log_time, a.batch_first_offset, a.value_offset, a.replaces_before
FROM series AS s
JOIN adjustment AS a ON a.series_id = s.series_id
WHERE s.meter_version_id = ANY ($1::integer[]) AND s.subject = ANY ($2::text[])
    AND a.window_start >= $3 AND a.window_start < $4
ORDER BY a.window_start, s.subject, s.is_other, s.groups, a.partition, a.record_offset

-- name: explained_batches
-- Ledger rows that hold some of these offsets.
SELECT b.first_offset, b.next_offset, b.log_time, b.epoch, b.worker, b.trace_id, b.committed_at, b.catalog_head
FROM batch AS b
WHERE b.partition = $1 AND b.first_offset < $3 AND b.next_offset > $2
ORDER BY b.first_offset

-- name: reading_start
-- Where to begin with a log so that nothing after this time is missed, and the frontier there.
SELECT b.next_offset, b.log_time
FROM batch AS b
WHERE b.partition = $1 AND b.log_time < $2
ORDER BY b.first_offset DESC
LIMIT 1

-- name: rejected_offsets
SELECT q.record_offset FROM quarantine AS q
WHERE q.partition = $1 AND q.code = 'store_rejected'
ORDER BY q.record_offset

-- name: reading_end
-- Behind the batch whose end is at least at this log time: what comes later cannot matter any more.
SELECT min(b.next_offset) FROM batch AS b WHERE b.partition = $1 AND b.log_time >= $2

-- name: explained_plan
SELECT definition FROM plan_version WHERE plan = $1 AND version = $2

-- name: explained_subscription
SELECT definition FROM subscription_version WHERE subscription = $1 AND version = $2

-- name: carried_from
-- The earliest window whose last point is carried into a range that starts at $3: of each series of $1 and $2 the
-- newest window before it that surely has a point, since none was withdrawn or corrected; or the first of all.
SELECT min(c.window_start)
FROM series AS s
CROSS JOIN LATERAL (
    SELECT coalesce(max(p.window_start) FILTER (WHERE NOT EXISTS (
        SELECT FROM adjustment AS v
        WHERE v.series_id = s.series_id AND v.window_start = p.window_start AND v.kind <> 'late'
    )), min(p.window_start)) AS window_start
    FROM (
        SELECT w.window_start FROM window_point AS w WHERE w.series_id = s.series_id AND w.window_start < $3
        UNION
        SELECT a.window_start FROM adjustment AS a WHERE a.series_id = s.series_id AND a.window_start < $3
    ) AS p
) AS c
WHERE s.meter_version_id = ANY ($1::integer[]) AND s.subject = ANY ($2::text[])
