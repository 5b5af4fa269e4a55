-- name: batches_back
-- Where the newest $1 batches of each partition begin.
SELECT
    p.partition,
    coalesce(
        (
            SELECT b.first_offset FROM batch AS b
            WHERE b.partition = p.partition ORDER BY b.first_offset DESC OFFSET $1 LIMIT 1
        ),
        p.first_offset
    ) AS first_offset
FROM ingest_partition AS p

-- name: batches_before
-- Where the newest $3 batches of each partition ($1) before an offset ($2) begin, and when; nothing if there are none.
SELECT g.partition, b.first_offset, b.log_time
FROM unnest($1::integer[], $2::bigint[]) AS g (partition, next_offset)
CROSS JOIN LATERAL (
    SELECT o.first_offset, o.log_time
    FROM (
        SELECT b.first_offset, b.log_time FROM batch AS b
        WHERE b.partition = g.partition AND b.first_offset < g.next_offset
        ORDER BY b.first_offset DESC
        LIMIT $3
    ) AS o
    ORDER BY o.first_offset
    LIMIT 1
) AS b

-- name: newest_meter_activity
-- When meter versions had events last, to within a batch, from an offset of each partition up to another.
SELECT n.meter_version_id, max(n.log_time) AS log_time
FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS g (partition, first_offset, next_offset)
CROSS JOIN LATERAL (
    SELECT m.meter_version_id, max(m.log_time) AS log_time FROM batch_meter AS m
    WHERE m.partition = g.partition AND m.first_offset >= g.first_offset AND m.first_offset < g.next_offset
        AND m.matched > 0
    GROUP BY m.meter_version_id
) AS n
GROUP BY n.meter_version_id

-- name: meter_activity
-- When meter versions had events, to within a batch, from an offset of each partition on.
SELECT DISTINCT m.meter_version_id, m.log_time
FROM unnest($1::integer[], $2::bigint[]) AS g (partition, first_offset)
JOIN batch_meter AS m ON m.partition = g.partition AND m.first_offset >= g.first_offset
WHERE m.matched > 0
ORDER BY m.log_time

-- name: hourly_usage
-- What subjects used in single hours, the $4 with the most of each meter; of meters whose windows add up to hours.
-- $1: starts of the hours; $2, $3: from the first to the end of the last.
WITH used AS (
    SELECT
        v.meter, s.subject, date_trunc('hour', w.window_start, 'UTC') AS hour,
        sum(CASE v.definition ->> 'aggregation' WHEN 'count' THEN w.events ELSE w.value END)::float8 AS amount
    FROM usage_window AS w
    JOIN series AS s ON s.series_id = w.series_id
    JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
    WHERE w.window_start >= $2 AND w.window_start < $3
        AND date_trunc('hour', w.window_start, 'UTC') = ANY ($1::timestamptz[])
        AND v.definition ->> 'aggregation' IN ('count', 'sum') AND v.definition ->> 'window' <> '1d'
    GROUP BY 1, 2, 3
),
ranked AS (
    SELECT u.meter, u.subject, row_number() OVER (PARTITION BY u.meter ORDER BY max(u.amount) DESC, u.subject) AS place
    FROM used AS u
    GROUP BY u.meter, u.subject
)
SELECT u.meter, u.subject, u.hour, u.amount
FROM used AS u
JOIN ranked AS r ON r.meter = u.meter AND r.subject = u.subject
WHERE r.place <= $4
