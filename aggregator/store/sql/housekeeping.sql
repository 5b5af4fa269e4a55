-- name: compact_hour
-- Small chunks of one event hour become few of at most $5 bytes. Only what this statement has deleted is written
-- again, so two at once lose nothing; a reader sees either all the old or all the new.
WITH small AS (
    SELECT
        c.first_offset,
        (sum(length(c.entries)) OVER (ORDER BY c.first_offset) - 1) / $5::bigint AS piece
    FROM dedupe_chunk AS c
    WHERE c.event_hour = $2 AND c.partition = $1 AND length(c.entries) <= $5::bigint / 2
        AND EXISTS (SELECT FROM ingest_partition AS p WHERE p.partition = $1 AND p.epoch = $3)
),
many AS (
    SELECT s.first_offset, s.piece FROM small AS s WHERE (SELECT count(*) FROM small) >= $4::bigint
),
deleted AS (
    DELETE FROM dedupe_chunk AS c USING many AS m
    WHERE c.event_hour = $2 AND c.partition = $1 AND c.first_offset = m.first_offset
    RETURNING c.first_offset, c.entries, m.piece
)
INSERT INTO dedupe_chunk (event_hour, partition, first_offset, entries)
SELECT $2, $1, min(d.first_offset), string_agg(d.entries, ''::bytea ORDER BY d.first_offset)
FROM deleted AS d
GROUP BY d.piece
RETURNING first_offset

-- name: droppable_days
-- Days of ids whose end every frontier has passed by the repair horizon; the names are those that
-- `ensure_partitions` gives. A plan may read the names of all tables before it knows whose they are: only these are
-- read as a day.
SELECT day.start
FROM pg_inherits AS i
JOIN pg_class AS c ON c.oid = i.inhrelid
CROSS JOIN LATERAL (
    SELECT CASE WHEN c.relname ~ '^dedupe_chunk_[0-9]{8}$' THEN to_timestamp(right(c.relname, 8), 'YYYYMMDD') END
        AS start
) AS day
WHERE i.inhparent = 'dedupe_chunk'::regclass
    AND day.start + interval '24 hours' <= (
        SELECT min(p.frontier) - max(t.repair_horizon) FROM ingest_partition AS p CROSS JOIN usage_topic AS t
    )
ORDER BY day.start

-- name: drop_dedupe_day
SELECT drop_dedupe_day($1)
