-- name: try_drain
SELECT pg_try_advisory_xact_lock(hashtextextended('outbox of ' || current_schema(), 0))

-- name: take_misplaced
SELECT
    o.partition, o.record_offset, o.target_partition, q.code, q.record_time, q.key, q.value, q.headers, q.subject
FROM repair_outbox AS o
JOIN quarantine AS q
    ON q.partition = o.partition AND q.record_offset = o.record_offset AND q.meter_version_id = 0
WHERE o.published_at IS NULL
ORDER BY o.partition, o.record_offset
LIMIT $1

-- name: mark_published
UPDATE repair_outbox AS o
SET published_partition = g.published_partition, published_offset = g.published_offset, published_at = now()
FROM unnest($1::integer[], $2::bigint[], $3::integer[], $4::bigint[])
    AS g (partition, record_offset, published_partition, published_offset)
WHERE o.partition = g.partition AND o.record_offset = g.record_offset

-- name: pending_repairs
SELECT count(*) FROM repair_outbox WHERE published_at IS NULL

-- name: repair_targets
SELECT p.partition, r.published_offset + 1 AS target
FROM ingest_partition AS p
CROSS JOIN LATERAL (
    SELECT max(o.published_offset) AS published_offset
    FROM repair_outbox AS o
    WHERE o.published_partition = p.partition
) AS r
WHERE r.published_offset IS NOT NULL
