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
