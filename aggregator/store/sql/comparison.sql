-- Two schemas are compared by natural keys, in order of them: ids of series and versions are each schema's own.
-- $1, $2: partitions, and up to which offset each of them counts here; what lies behind is another day's work.
-- $3: the instant before which a replay of a range has no windows; -infinity for a whole one.
-- `groups` is a JSON object by name, empty for the `other` series.

-- name: compare_windows
WITH named AS MATERIALIZED (
    SELECT
        s.series_id, v.meter COLLATE "C" AS meter, v.definition ->> 'aggregation' AS aggregation, s.subject,
        CASE WHEN s.is_other THEN '' ELSE (
            SELECT coalesce(jsonb_object_agg(g.named ->> 'name', s.groups[g.place]), '{}')::text
            FROM jsonb_array_elements(v.definition -> 'group_by') WITH ORDINALITY AS g (named, place)
        ) END COLLATE "C" AS groups
    FROM series AS s JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
)
SELECT
    n.meter, n.subject, n.groups, w.window_start, w.shard,
    n.aggregation, w.events, w.value, w.value_time, w.value_offset, w.first_offset, w.last_offset
FROM named AS n
JOIN usage_window AS w ON w.series_id = n.series_id
JOIN unnest($1::integer[], $2::bigint[]) AS e (partition, next_offset) ON e.partition = w.shard
WHERE w.first_offset < e.next_offset AND w.window_start >= $3
ORDER BY 1, 2, 3, 4, 5

-- name: compare_members
WITH named AS MATERIALIZED (
    SELECT
        s.series_id, v.meter COLLATE "C" AS meter, s.subject,
        CASE WHEN s.is_other THEN '' ELSE (
            SELECT coalesce(jsonb_object_agg(g.named ->> 'name', s.groups[g.place]), '{}')::text
            FROM jsonb_array_elements(v.definition -> 'group_by') WITH ORDINALITY AS g (named, place)
        ) END COLLATE "C" AS groups
    FROM series AS s JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
    WHERE v.definition ->> 'aggregation' = 'unique'
)
SELECT n.meter, n.subject, n.groups, m.window_start, m.shard, m.member
FROM named AS n
JOIN window_member AS m ON m.series_id = n.series_id
JOIN unnest($1::integer[], $2::bigint[]) AS e (partition, next_offset) ON e.partition = m.shard
WHERE m.window_start >= $3 AND EXISTS (
    SELECT FROM usage_window AS w
    WHERE w.series_id = m.series_id AND w.window_start = m.window_start AND w.shard = m.shard
        AND w.first_offset < e.next_offset
)
ORDER BY 1, 2, 3, 4, 5, 6

-- name: compare_points
WITH named AS MATERIALIZED (
    SELECT
        s.series_id, v.meter COLLATE "C" AS meter, s.subject,
        CASE WHEN s.is_other THEN '' ELSE (
            SELECT coalesce(jsonb_object_agg(g.named ->> 'name', s.groups[g.place]), '{}')::text
            FROM jsonb_array_elements(v.definition -> 'group_by') WITH ORDINALITY AS g (named, place)
        ) END COLLATE "C" AS groups
    FROM series AS s JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
    WHERE v.definition ->> 'aggregation' = 'gauge'
)
SELECT n.meter, n.subject, n.groups, p.window_start, p.shard, p.point_time, p.point_offset, p.value
FROM named AS n
JOIN window_point AS p ON p.series_id = n.series_id
JOIN unnest($1::integer[], $2::bigint[]) AS e (partition, next_offset) ON e.partition = p.shard
WHERE p.point_offset < e.next_offset AND p.window_start >= $3
ORDER BY 1, 2, 3, 4, 5, 6, 7

-- name: compare_adjustments
WITH named AS MATERIALIZED (
    SELECT
        s.series_id, v.meter COLLATE "C" AS meter, v.definition ->> 'aggregation' AS aggregation, s.subject,
        CASE WHEN s.is_other THEN '' ELSE (
            SELECT coalesce(jsonb_object_agg(g.named ->> 'name', s.groups[g.place]), '{}')::text
            FROM jsonb_array_elements(v.definition -> 'group_by') WITH ORDINALITY AS g (named, place)
        ) END COLLATE "C" AS groups
    FROM series AS s JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
)
SELECT
    a.partition, a.record_offset, n.meter,
    a.kind, n.subject, n.groups, a.window_start, n.aggregation, a.events, a.value, a.member, a.event_time, a.log_time,
    a.value_offset, a.replaces_before, CASE a.kind WHEN 'correction' THEN a.batch_first_offset END AS promotion
FROM adjustment AS a
JOIN named AS n ON n.series_id = a.series_id
JOIN unnest($1::integer[], $2::bigint[]) AS e (partition, next_offset) ON e.partition = a.partition
WHERE a.record_offset < e.next_offset AND a.window_start >= $3
ORDER BY 1, 2, 3

-- name: compare_quarantine
-- $4: of a range, the offset of each partition before which nothing of it lies. What is known to speak of a time before
-- $3 is left out: of such events a range knows only what is remembered.
SELECT
    q.partition, q.record_offset, coalesce(v.meter, '') COLLATE "C" AS meter,
    q.code, q.source, q.id, q.type, q.subject, q.event_time, q.origin
FROM quarantine AS q
JOIN unnest($1::integer[], $2::bigint[], $4::bigint[]) AS e (partition, next_offset, compared_from)
    ON e.partition = q.partition
LEFT JOIN meter_version AS v ON v.meter_version_id = q.meter_version_id
WHERE q.record_offset < e.next_offset AND q.record_offset >= e.compared_from
    AND coalesce(q.event_time, 'infinity') >= $3
ORDER BY 1, 2, 3

-- name: compare_repairs
SELECT
    r.partition, r.record_offset,
    coalesce(v.meter, '') AS meter, r.origin_partition, r.origin_offset, r.origin_code
FROM counted_repair AS r
JOIN unnest($1::integer[], $2::bigint[]) AS e (partition, next_offset) ON e.partition = r.partition
LEFT JOIN meter_version AS v ON v.meter_version_id = r.meter_version_id
WHERE r.record_offset < e.next_offset
ORDER BY 1, 2

-- name: compare_partitions
-- From the ledger, whose ranges end where a replay of them ended.
SELECT
    b.partition,
    min(b.first_offset) AS first_offset, max(b.next_offset) AS next_offset, max(b.log_time) AS frontier,
    sum(b.accepted)::bigint AS accepted, sum(b.duplicate)::bigint AS duplicate, sum(b.conflict)::bigint AS conflict,
    sum(b.quarantined)::bigint AS quarantined, sum(b.tick)::bigint AS tick, sum(b.gap)::bigint AS gap,
    sum(b.lost)::bigint AS lost, sum(b.unmetered)::bigint AS unmetered,
    sum(b.late_by_pipeline)::bigint AS late_by_pipeline
FROM batch AS b
JOIN unnest($1::integer[], $2::bigint[]) AS e (partition, next_offset) ON e.partition = b.partition
WHERE b.first_offset < e.next_offset
GROUP BY b.partition
ORDER BY 1

-- name: compare_frontiers
-- Of a range, whose ledger begins elsewhere: where it ends.
SELECT b.partition, max(b.next_offset) AS next_offset, max(b.log_time) AS frontier
FROM batch AS b
JOIN unnest($1::integer[], $2::bigint[]) AS e (partition, next_offset) ON e.partition = b.partition
WHERE b.first_offset < e.next_offset
GROUP BY b.partition
ORDER BY 1

-- name: compare_meters
SELECT
    b.partition, v.meter COLLATE "C" AS meter,
    sum(b.matched)::bigint AS matched, sum(b.increments)::bigint AS increments,
    sum(b.adjustments)::bigint AS adjustments, sum(b.voids)::bigint AS voids, sum(b.errors)::bigint AS errors,
    sum(b.increment_sum) AS increment_sum, sum(b.adjustment_sum) AS adjustment_sum, sum(b.void_sum) AS void_sum
FROM batch_meter AS b
JOIN meter_version AS v ON v.meter_version_id = b.meter_version_id
JOIN unnest($1::integer[], $2::bigint[]) AS e (partition, next_offset) ON e.partition = b.partition
WHERE b.first_offset < e.next_offset
GROUP BY b.partition, v.meter
ORDER BY 1, 2

-- name: compare_watermarks
SELECT v.meter COLLATE "C" AS meter, v.version, w.final_before
FROM meter_watermark AS w JOIN meter_version AS v ON v.meter_version_id = w.meter_version_id
ORDER BY 1, 2

-- name: compare_terms
SELECT
    'plan' COLLATE "C" AS kind, p.plan AS name, p.version,
    nullif(p.effective_from, '-infinity') AS effective_from, p.retired, p.known_from, p.definition::text AS definition
FROM plan_version AS p
UNION ALL
SELECT
    'subscription', s.subscription, s.version, nullif(s.effective_from, '-infinity'), s.retired, s.known_from,
    s.definition::text
FROM subscription_version AS s
ORDER BY 1, 2, 3

-- name: compare_rated_totals
-- $1: versions whose cut is later are another day's work. $2: periods that begin earlier are not wholly in a range.
SELECT
    r.subscription, r.period_start, r.version,
    r.customer, r.period_end, r.cut, r.currency, r.amount, r.unrounded_amount, r.difference, r.digest,
    row_number() OVER (PARTITION BY r.subscription, r.period_start ORDER BY r.version DESC) = 1 AS is_newest
FROM rated_total AS r
WHERE r.cut <= $1 AND r.period_start >= $2
ORDER BY 1, 2, 3

-- name: cut_periods
-- Rated periods that begin before the start $2 of a range, and end after it; $1 as above.
SELECT count(*) FROM rated_total AS r
WHERE r.cut <= $1 AND r.period_start < $2 AND r.period_end > $2 AND r.version = 1
