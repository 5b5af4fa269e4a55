-- name: topic_frontiers
-- Every frontier, of one moment; the topic says how many there must be.
SELECT p.partition, p.frontier, t.partitions
FROM usage_topic AS t CROSS JOIN ingest_partition AS p
ORDER BY p.partition

-- name: closing
SELECT log_time FROM closing

-- name: watermarks
SELECT meter_version_id, final_before FROM meter_watermark

-- name: advance_closing
INSERT INTO closing (log_time) VALUES ($1)
ON CONFLICT (is_only) DO UPDATE SET log_time = excluded.log_time, closed_at = now()
WHERE closing.log_time < excluded.log_time

-- name: advance_watermarks
-- In order of version: two closers that write at once wait for each other, and the later one finds nothing to do.
INSERT INTO meter_watermark (meter_version_id, window_length, grace, final_before)
SELECT g.meter_version_id, g.window_length, g.grace, g.final_before
FROM unnest($1::integer[], $2::interval[], $3::interval[], $4::timestamptz[])
    AS g (meter_version_id, window_length, grace, final_before)
ORDER BY g.meter_version_id
ON CONFLICT (meter_version_id) DO UPDATE SET final_before = excluded.final_before
WHERE meter_watermark.final_before < excluded.final_before
RETURNING meter_version_id

-- name: take_turn
SELECT pg_try_advisory_lock(hashtextextended($1::text || ' of ' || current_schema(), 0))

-- name: turn_holder
-- Who holds the lock that `take_turn` takes; nobody: no row.
SELECT a.application_name, a.pid
FROM pg_locks AS l
JOIN pg_stat_activity AS a ON a.pid = l.pid
CROSS JOIN (SELECT hashtextextended($1::text || ' of ' || current_schema(), 0) AS key) AS k
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
    AND (l.classid::bigint << 32 | l.objid::bigint) = k.key
