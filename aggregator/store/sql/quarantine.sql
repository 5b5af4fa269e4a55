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

-- name: newest_quarantined
-- The newest of each code by the index on it, then the newest of those.
SELECT n.*, s.state
FROM (
    SELECT q.*
    FROM unnest($1::text[]) AS c (code)
    CROSS JOIN LATERAL (
        SELECT
            q.partition, q.record_offset, q.meter_version_id, q.code, q.detail, q.record_time, q.refused_at, q.source,
            q.id, q.type, q.subject, q.event_time, q.origin
        FROM quarantine AS q
        WHERE q.code = c.code AND ($2::text IS NULL OR q.source = $2) AND ($3::text IS NULL OR q.subject = $3)
        ORDER BY q.refused_at DESC
        LIMIT $4
    ) AS q
    ORDER BY q.refused_at DESC, q.partition, q.record_offset DESC, q.meter_version_id
    LIMIT $4
) AS n
JOIN quarantine_state AS s
    ON s.partition = n.partition AND s.record_offset = n.record_offset AND s.meter_version_id = n.meter_version_id
ORDER BY n.refused_at DESC, n.partition, n.record_offset DESC, n.meter_version_id

-- name: quarantine_groups
-- What is alike, by what has become of it; $1 to $3 choose by code, source and subject. As in `quarantine_ages`, what
-- was never touched is open, and needs no look at what became of it. The planner thinks that three choices leave one
-- row, so they are made where that does no harm (OFFSET 0 keeps it so).
WITH touched AS MATERIALIZED (
    SELECT a.partition, a.record_offset, a.meter_version_id FROM quarantine_action AS a
    UNION
    SELECT o.partition, o.record_offset, 0 FROM repair_outbox AS o
    UNION
    SELECT c.origin_partition, c.origin_offset, c.meter_version_id FROM counted_repair AS c
    UNION
    SELECT q.partition, q.record_offset, q.meter_version_id FROM quarantine AS q WHERE q.origin IS NOT NULL
),
alike AS (
    SELECT
        u.code, u.source, u.meter_version_id, 'open' AS state, count(*) AS records, min(u.refused_at) AS oldest,
        max(u.refused_at) AS newest
    FROM (
        SELECT q.code, q.source, q.subject, q.meter_version_id, q.refused_at
        FROM quarantine AS q
        LEFT JOIN touched AS t
            ON t.partition = q.partition AND t.record_offset = q.record_offset
            AND t.meter_version_id = q.meter_version_id
        WHERE t.partition IS NULL
        OFFSET 0
    ) AS u
    WHERE ($1::text IS NULL OR u.code = $1)
        AND ($2::text IS NULL OR u.source = $2)
        AND ($3::text IS NULL OR u.subject = $3)
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT q.code, q.source, t.meter_version_id, s.state, count(*), min(q.refused_at), max(q.refused_at)
    FROM touched AS t
    CROSS JOIN LATERAL (
        SELECT r.code, r.source, r.refused_at FROM quarantine AS r
        WHERE r.partition = t.partition AND r.record_offset = t.record_offset
            AND r.meter_version_id = t.meter_version_id
            AND ($1::text IS NULL OR r.code = $1)
            AND ($2::text IS NULL OR r.source = $2)
            AND ($3::text IS NULL OR r.subject = $3)
        OFFSET 0
    ) AS q
    CROSS JOIN LATERAL (
        SELECT s.state FROM quarantine_state AS s
        WHERE s.partition = t.partition AND s.record_offset = t.record_offset
            AND s.meter_version_id = t.meter_version_id
        OFFSET 0
    ) AS s
    GROUP BY 1, 2, 3, 4
)
SELECT
    a.code, a.source, v.meter, a.state, sum(a.records)::bigint AS records, min(a.oldest) AS oldest,
    max(a.newest) AS newest
FROM alike AS a
LEFT JOIN meter_version AS v ON v.meter_version_id = a.meter_version_id
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4

-- name: quarantine_ages
-- What waits for a decision, by code. Most records were never touched, and need no look at what became of them.
WITH touched AS MATERIALIZED (
    SELECT a.partition, a.record_offset, a.meter_version_id FROM quarantine_action AS a
    UNION
    SELECT o.partition, o.record_offset, 0 FROM repair_outbox AS o
    UNION
    SELECT c.origin_partition, c.origin_offset, c.meter_version_id FROM counted_repair AS c
    UNION
    SELECT q.partition, q.record_offset, q.meter_version_id FROM quarantine AS q WHERE q.origin IS NOT NULL
)
SELECT w.code, count(*) AS rows, clock_timestamp() - min(w.refused_at) AS oldest
FROM (
    SELECT q.code, q.refused_at
    FROM quarantine AS q
    LEFT JOIN touched AS t
        ON t.partition = q.partition AND t.record_offset = q.record_offset AND t.meter_version_id = q.meter_version_id
    WHERE t.partition IS NULL
    UNION ALL
    SELECT q.code, q.refused_at
    FROM touched AS t
    JOIN quarantine AS q
        ON q.partition = t.partition AND q.record_offset = t.record_offset AND q.meter_version_id = t.meter_version_id
    JOIN quarantine_state AS s
        ON s.partition = t.partition AND s.record_offset = t.record_offset AND s.meter_version_id = t.meter_version_id
    WHERE s.state IN ('open', 'refused_again')
) AS w
GROUP BY w.code
ORDER BY w.code

-- name: refusals_of
-- As `quarantined_record`, without what the record says.
SELECT
    q.partition, q.record_offset, q.meter_version_id, q.code, q.detail, q.record_time, q.refused_at, q.source, q.id,
    q.type, q.subject, q.event_time, q.origin, s.state
FROM quarantine AS q
JOIN quarantine_state AS s
    ON s.partition = q.partition AND s.record_offset = q.record_offset AND s.meter_version_id = q.meter_version_id
WHERE q.partition = $1 AND q.record_offset = $2
ORDER BY q.meter_version_id

-- name: quarantined_record
-- All rows of one record, whatever became of them.
SELECT
    q.partition, q.record_offset, q.meter_version_id, q.code, q.detail, q.record_time, q.refused_at, q.source, q.id,
    q.type, q.subject, q.event_time, q.origin, q.timestamp_type, q.key, q.value, q.headers, s.state, s.attempts
FROM quarantine AS q
JOIN quarantine_state AS s
    ON s.partition = q.partition AND s.record_offset = q.record_offset AND s.meter_version_id = q.meter_version_id
WHERE q.partition = $1 AND q.record_offset = $2
ORDER BY q.meter_version_id

-- name: may_read_payloads
SELECT has_column_privilege('quarantine', 'value', 'SELECT')
