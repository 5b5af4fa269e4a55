-- name: boundary_at
-- The first boundary of the ledger that is no earlier than an offset of a partition: the end of the batch before it.
SELECT b.next_offset, b.log_time
FROM batch AS b
WHERE b.partition = $1 AND b.first_offset < $2
ORDER BY b.first_offset DESC
LIMIT 1

-- name: boundary_reaching
-- The frontier of a partition's first boundary that has come to a log time.
SELECT b.log_time FROM batch AS b WHERE b.partition = $1 AND b.log_time >= $2 ORDER BY b.first_offset LIMIT 1

-- name: foretold_refusals
-- Of a partition's records from $2 on those whose refusal a range does not find out again: the conflicts before $3, for
-- what they contradict may not be read; and what the database did not take where it is not asked again, for events of
-- before $4 are not counted.
SELECT q.record_offset, q.code
FROM quarantine AS q
WHERE q.partition = $1 AND q.record_offset >= $2 AND q.meter_version_id = 0
    AND (
        q.code = 'conflict' AND q.record_offset < $3
        OR q.code = 'store_rejected' AND (q.record_offset < $3 OR q.event_time < $4)
    )

-- name: carried_points
-- The points that gauges may carry in at $1, as counted up to the offsets $3 of partitions $2: of each series those of
-- its newest window of before that surely has one, for nothing of it was withdrawn or corrected, and of all after it.
WITH ends AS MATERIALIZED (
    SELECT * FROM unnest($2::integer[], $3::bigint[]) AS e (partition, next_offset)
)
SELECT
    s.meter_version_id, s.subject, s.is_other, s.groups, p.window_start, p.shard, p.point_time, p.point_offset, p.value
FROM meter_version AS v
JOIN series AS s ON s.meter_version_id = v.meter_version_id
CROSS JOIN LATERAL (
    SELECT coalesce((
        SELECT w.window_start
        FROM window_point AS w
        WHERE w.series_id = s.series_id AND w.window_start < $1
            AND EXISTS (SELECT FROM ends AS e WHERE e.partition = w.shard AND w.point_offset < e.next_offset)
            AND NOT EXISTS (
                SELECT FROM adjustment AS a
                WHERE a.series_id = w.series_id AND a.window_start = w.window_start AND a.kind <> 'late'
            )
        ORDER BY w.window_start DESC
        LIMIT 1
    ), '-infinity') AS from_window
) AS c
JOIN window_point AS p
    ON p.series_id = s.series_id AND p.window_start >= c.from_window AND p.window_start < $1
JOIN ends AS e ON e.partition = p.shard AND p.point_offset < e.next_offset
WHERE v.definition ->> 'aggregation' = 'gauge'

-- name: carried_adjustments
-- What stands beside those windows; corrections are taken over by themselves. Parameters as in carried_points.
WITH ends AS MATERIALIZED (
    SELECT * FROM unnest($2::integer[], $3::bigint[]) AS e (partition, next_offset)
)
SELECT
    s.meter_version_id, s.subject, s.is_other, s.groups, a.partition, a.record_offset, a.window_start, a.kind, a.events,
    a.value, a.member, a.event_time, a.batch_first_offset, a.log_time
FROM meter_version AS v
JOIN series AS s ON s.meter_version_id = v.meter_version_id
CROSS JOIN LATERAL (
    SELECT coalesce((
        SELECT w.window_start
        FROM window_point AS w
        WHERE w.series_id = s.series_id AND w.window_start < $1
            AND EXISTS (SELECT FROM ends AS e WHERE e.partition = w.shard AND w.point_offset < e.next_offset)
            AND NOT EXISTS (
                SELECT FROM adjustment AS a
                WHERE a.series_id = w.series_id AND a.window_start = w.window_start AND a.kind <> 'late'
            )
        ORDER BY w.window_start DESC
        LIMIT 1
    ), '-infinity') AS from_window
) AS c
JOIN adjustment AS a
    ON a.series_id = s.series_id AND a.window_start >= c.from_window AND a.window_start < $1 AND a.kind <> 'correction'
JOIN ends AS e ON e.partition = a.partition AND a.record_offset < e.next_offset
WHERE v.definition ->> 'aggregation' = 'gauge'

-- name: begin_partitions_at
-- The frontiers where partitions begin, which no record of the range tells.
UPDATE ingest_partition AS p
SET frontier = g.frontier
FROM unnest($1::integer[], $2::timestamptz[]) AS g (partition, frontier)
WHERE p.partition = g.partition

-- name: all_subscriptions
SELECT DISTINCT subscription FROM subscription_version ORDER BY subscription
