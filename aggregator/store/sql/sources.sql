-- name: named_sources
-- The sources of some partitions that are watched by name, with the last hour in which each was heard.
SELECT a.partition, a.source, max(a.hour) AS hour
FROM source_activity AS a
WHERE a.partition = ANY ($1::integer[]) AND a.source <> ''
GROUP BY a.partition, a.source

-- name: note_sources
-- A minute's bit is set once, whoever sets it again.
INSERT INTO source_activity AS a (partition, hour, source, minutes, others)
SELECT * FROM unnest($1::integer[], $2::timestamptz[], $3::text[], $4::bigint[], $5::integer[])
ON CONFLICT (partition, hour, source) DO UPDATE
SET minutes = a.minutes | excluded.minutes, others = greatest(a.others, excluded.others)

-- name: heard_since
SELECT a.hour, a.source, bit_or(a.minutes) AS minutes, max(a.others) AS others
FROM ingest_partition AS p
JOIN source_activity AS a ON a.partition = p.partition AND a.hour >= $1::timestamptz
GROUP BY a.hour, a.source
ORDER BY a.hour

-- name: drop_old_sources
-- A day longer than silence looks back, for partitions that are behind others.
DELETE FROM source_activity AS a
USING ingest_partition AS p
WHERE a.partition = p.partition AND a.hour < p.frontier - interval '15 days'
RETURNING a.partition
