-- name: try_drain
SELECT pg_try_advisory_xact_lock(hashtextextended('outbox of ' || current_schema(), 0))

-- name: take_misplaced
SELECT
    NULL::bigint AS action_id, o.partition, o.record_offset, q.meter_version_id, o.target_partition, q.code,
    q.record_time, q.key, q.value, q.headers, q.subject
FROM repair_outbox AS o
JOIN quarantine AS q
    ON q.partition = o.partition AND q.record_offset = o.record_offset AND q.meter_version_id = 0
WHERE o.published_at IS NULL
ORDER BY o.partition, o.record_offset
LIMIT $1

-- name: take_redriven
-- In the order in which it was decided: an event before its void.
SELECT
    r.action_id, a.partition, a.record_offset, a.meter_version_id, r.target_partition, q.code, q.record_time,
    CASE WHEN a.value IS NULL THEN q.key ELSE a.key END AS key, coalesce(a.value, q.value) AS value,
    coalesce(a.headers, q.headers) AS headers, q.subject
FROM redrive_outbox AS r
JOIN quarantine_action AS a ON a.action_id = r.action_id
JOIN quarantine AS q
    ON q.partition = a.partition AND q.record_offset = a.record_offset AND q.meter_version_id = a.meter_version_id
WHERE r.published_at IS NULL
ORDER BY r.action_id
LIMIT $1

-- name: mark_published
UPDATE repair_outbox AS o
SET published_partition = g.published_partition, published_offset = g.published_offset, published_at = now()
FROM unnest($1::integer[], $2::bigint[], $3::integer[], $4::bigint[])
    AS g (partition, record_offset, published_partition, published_offset)
WHERE o.partition = g.partition AND o.record_offset = g.record_offset

-- name: mark_redriven
UPDATE redrive_outbox AS r
SET published_partition = g.published_partition, published_offset = g.published_offset, published_at = now()
FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) AS g (action_id, published_partition, published_offset)
WHERE r.action_id = g.action_id

-- name: pending_repairs
SELECT
    (SELECT count(*) FROM repair_outbox WHERE published_at IS NULL)
    + (SELECT count(*) FROM redrive_outbox WHERE published_at IS NULL)

-- name: repair_targets
SELECT p.partition, greatest(misplaced.published_offset, redriven.published_offset) + 1 AS target
FROM ingest_partition AS p
CROSS JOIN LATERAL (
    SELECT max(o.published_offset) AS published_offset
    FROM repair_outbox AS o
    WHERE o.published_partition = p.partition
) AS misplaced
CROSS JOIN LATERAL (
    SELECT max(r.published_offset) AS published_offset
    FROM redrive_outbox AS r
    WHERE r.published_partition = p.partition
) AS redriven
WHERE greatest(misplaced.published_offset, redriven.published_offset) IS NOT NULL
