-- name: lock_quarantine
-- One person decides at a time.
SELECT pg_advisory_xact_lock(hashtextextended('quarantine of ' || current_schema(), 0))

-- name: waiting_quarantined
-- What waits for a decision behind the place $7, $8, $9, in order of place; $1 to $6 choose by code, source, subject,
-- partition, offset and the latest time of refusal. A walk in that order that looks at each and stops at the limit:
-- places are put in order first, without what the records say (OFFSET 0 keeps it so, whatever the planner thinks).
SELECT
    q.partition, q.record_offset, q.meter_version_id, q.code, q.detail, q.record_time, q.refused_at, q.source, q.id,
    q.type, q.subject, q.event_time, q.origin, q.timestamp_type, q.key, q.value, q.headers, s.state, s.attempts
FROM (
    SELECT c.partition, c.record_offset, c.meter_version_id
    FROM quarantine AS c
    WHERE ($1::text IS NULL OR c.code = $1)
        AND ($2::text IS NULL OR c.source = $2)
        AND ($3::text IS NULL OR c.subject = $3)
        AND ($4::integer IS NULL OR c.partition = $4)
        AND ($5::bigint IS NULL OR c.record_offset = $5)
        AND ($6::timestamptz IS NULL OR c.refused_at <= $6)
        AND (c.partition, c.record_offset, c.meter_version_id) > ($7::integer, $8::bigint, $9::integer)
    ORDER BY c.partition, c.record_offset, c.meter_version_id
    OFFSET 0
) AS p
CROSS JOIN LATERAL (
    SELECT s.state, s.attempts
    FROM quarantine_state AS s
    WHERE s.partition = p.partition AND s.record_offset = p.record_offset AND s.meter_version_id = p.meter_version_id
    OFFSET 0
) AS s
CROSS JOIN LATERAL (
    SELECT r.* FROM quarantine AS r
    WHERE r.partition = p.partition AND r.record_offset = p.record_offset AND r.meter_version_id = p.meter_version_id
    OFFSET 0
) AS q
WHERE s.state IN ('open', 'refused_again')
ORDER BY p.partition, p.record_offset, p.meter_version_id
LIMIT $10

-- name: promoted_windows
-- Of events ($1, $2: partitions and offsets; $3 to $6: meter version, subject, time and log time) those whose window
-- was corrected by a promotion since: a replay may have counted them already.
SELECT g.partition, g.record_offset, g.meter_version_id
FROM unnest($1::integer[], $2::bigint[], $3::integer[], $4::text[], $5::timestamptz[], $6::timestamptz[])
    AS g (partition, record_offset, meter_version_id, subject, event_time, record_time)
WHERE EXISTS (
    SELECT
    FROM meter_version AS v
    JOIN meter_version AS w ON w.meter = v.meter
    JOIN series AS s ON s.meter_version_id = w.meter_version_id AND s.subject = g.subject
    JOIN adjustment AS a ON a.series_id = s.series_id AND a.kind = 'correction'
    WHERE v.meter_version_id = g.meter_version_id AND a.log_time >= g.record_time
        AND a.window_start <= g.event_time
        AND g.event_time < a.window_start + (w.definition ->> 'window')::interval
)

-- name: insert_quarantine_actions
WITH g AS (
    SELECT * FROM unnest(
        $4::integer[], $5::bigint[], $6::integer[], $7::integer[], $8::integer[], $9::bytea[], $10::bytea[], $11::text[]
    ) WITH ORDINALITY AS g (
        partition, record_offset, meter_version_id, attempt, target_partition, key, value, headers, place
    )
),
decided AS (
    INSERT INTO quarantine_action (
        partition, record_offset, meter_version_id, attempt, action, who, reason, key, value, headers
    )
    SELECT g.partition, g.record_offset, g.meter_version_id, g.attempt, $1, $2, $3, g.key, g.value, g.headers::jsonb
    FROM g
    ORDER BY g.place
    RETURNING action_id, partition, record_offset, meter_version_id
)
INSERT INTO redrive_outbox (action_id, target_partition)
SELECT d.action_id, g.target_partition
FROM decided AS d
JOIN g ON g.partition = d.partition AND g.record_offset = d.record_offset AND g.meter_version_id = d.meter_version_id
WHERE g.target_partition IS NOT NULL

-- name: quarantine_history
SELECT
    a.meter_version_id, a.attempt, a.action, a.at, a.who, a.reason,
    r.published_partition, r.published_offset, r.published_at
FROM quarantine_action AS a
LEFT JOIN redrive_outbox AS r ON r.action_id = a.action_id
WHERE a.partition = $1 AND a.record_offset = $2
ORDER BY a.meter_version_id, a.attempt
