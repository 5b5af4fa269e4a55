-- name: insert_quarantined
INSERT INTO quarantine (
    partition, record_offset, meter_version_id, code, detail, record_time, timestamp_type, key, value, headers,
    source, id, type, subject, event_time, origin
)
SELECT
    g.partition, g.record_offset, g.meter_version_id, g.code, g.detail, g.record_time, g.timestamp_type, g.key,
    g.value, g.headers::jsonb, g.source, g.id, g.type, g.subject, g.event_time, g.origin
FROM unnest(
    $1::integer[], $2::bigint[], $3::integer[], $4::text[], $5::text[], $6::timestamptz[], $7::smallint[],
    $8::bytea[], $9::bytea[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::timestamptz[],
    $16::text[]
) AS g (
    partition, record_offset, meter_version_id, code, detail, record_time, timestamp_type, key, value, headers,
    source, id, type, subject, event_time, origin
)

-- name: insert_misplaced
INSERT INTO repair_outbox (partition, record_offset, target_partition)
SELECT * FROM unnest($1::integer[], $2::bigint[], $3::integer[])

-- name: quarantine_counts
SELECT code, count(*) AS rows FROM quarantine GROUP BY code ORDER BY code

-- name: newest_quarantined
-- The newest of each code by the index on it, then the newest of those.
SELECT q.*
FROM unnest($1::text[]) AS c (code)
CROSS JOIN LATERAL (
    SELECT
        q.partition, q.record_offset, q.meter_version_id, q.code, q.detail, q.record_time, q.refused_at, q.source,
        q.id, q.type, q.subject, q.event_time, q.origin
    FROM quarantine AS q
    WHERE q.code = c.code AND ($2::text IS NULL OR q.subject = $2)
    ORDER BY q.refused_at DESC
    LIMIT $3
) AS q
ORDER BY q.refused_at DESC, q.partition, q.record_offset DESC, q.meter_version_id
LIMIT $3

-- name: quarantined_record
SELECT
    partition, record_offset, meter_version_id, code, detail, record_time, refused_at, source, id, type, subject,
    event_time, origin, timestamp_type, key, value, headers
FROM quarantine
WHERE partition = $1 AND record_offset = $2
ORDER BY meter_version_id

-- name: quarantine_ages
SELECT code, count(*) AS rows, clock_timestamp() - min(refused_at) AS oldest
FROM quarantine
GROUP BY code
ORDER BY code
