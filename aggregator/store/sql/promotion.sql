-- name: final_units
-- What each final window of the meters that add up comes to, with all that stands beside it: $1, $2 are partitions
-- and up to which offset each counts here; $3, $4 meters and the instant before which their windows are compared; $5 the
-- instant from which on they are.
WITH named AS MATERIALIZED (
    SELECT
        s.series_id, v.meter COLLATE "C" AS meter, v.definition ->> 'aggregation' AS aggregation, s.subject,
        f.final_before,
        CASE WHEN s.is_other THEN '' ELSE (
            SELECT coalesce(jsonb_object_agg(g.named ->> 'name', s.groups[g.place]), '{}')::text
            FROM jsonb_array_elements(v.definition -> 'group_by') WITH ORDINALITY AS g (named, place)
        ) END COLLATE "C" AS groups
    FROM series AS s
    JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
    JOIN unnest($3::text[], $4::timestamptz[]) AS f (meter, final_before) ON f.meter = v.meter
    WHERE v.definition ->> 'aggregation' IN ('sum', 'count')
),
part AS (
    SELECT n.*, w.window_start, w.events, w.value
    FROM named AS n JOIN usage_window AS w ON w.series_id = n.series_id
    WHERE w.window_start < n.final_before AND w.window_start >= $5
    UNION ALL
    SELECT n.*, a.window_start, a.events, a.value
    FROM named AS n
    JOIN adjustment AS a ON a.series_id = n.series_id
    JOIN unnest($1::integer[], $2::bigint[]) AS e (partition, next_offset) ON e.partition = a.partition
    WHERE a.window_start < n.final_before AND a.window_start >= $5 AND a.record_offset < e.next_offset
)
SELECT
    p.meter, p.subject, p.groups, p.window_start, sum(p.events)::bigint AS events, coalesce(sum(p.value), 0) AS value
FROM part AS p
GROUP BY 1, 2, 3, 4
HAVING sum(p.events) <> 0 OR sum(p.value) <> 0
ORDER BY 1, 2, 3, 4

-- name: final_parts
-- What each final window of the other meters holds, part by part, with all that stands beside it; parameters as in
-- final_units. `stands`: whether the part counts; of a window that a promotion has replaced its newest word does, and
-- what lies from `replaces_before` on. The events of all parts add up.
WITH named AS MATERIALIZED (
    SELECT
        s.series_id, v.meter COLLATE "C" AS meter, v.definition ->> 'aggregation' AS aggregation, s.subject,
        f.final_before,
        CASE WHEN s.is_other THEN '' ELSE (
            SELECT coalesce(jsonb_object_agg(g.named ->> 'name', s.groups[g.place]), '{}')::text
            FROM jsonb_array_elements(v.definition -> 'group_by') WITH ORDINALITY AS g (named, place)
        ) END COLLATE "C" AS groups
    FROM series AS s
    JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
    JOIN unnest($3::text[], $4::timestamptz[]) AS f (meter, final_before) ON f.meter = v.meter
    WHERE v.definition ->> 'aggregation' IN ('min', 'max', 'last', 'unique', 'gauge')
),
beside AS MATERIALIZED (
    SELECT a.*
    FROM named AS n
    JOIN adjustment AS a ON a.series_id = n.series_id
    JOIN unnest($1::integer[], $2::bigint[]) AS e (partition, next_offset) ON e.partition = a.partition
    WHERE a.window_start < n.final_before AND a.window_start >= $5 AND a.record_offset < e.next_offset
),
replaced AS MATERIALIZED (
    SELECT
        a.series_id, a.window_start, max(a.batch_first_offset) AS promotion, max(a.replaces_before) AS replaces_before
    FROM beside AS a
    WHERE a.replaces_before IS NOT NULL
    GROUP BY a.series_id, a.window_start
),
part AS (
    SELECT
        w.series_id, w.window_start, w.events, w.value, NULL AS member, w.value_time, w.value_offset, false AS is_void,
        n.aggregation IN ('min', 'max', 'last') AS has_value, NULL AS kind, -1 AS record_offset
    FROM named AS n JOIN usage_window AS w ON w.series_id = n.series_id
    WHERE w.window_start < n.final_before AND w.window_start >= $5
    UNION ALL
    SELECT m.series_id, m.window_start, 0, NULL, m.member, NULL, NULL, false, true, NULL, -1
    FROM named AS n JOIN window_member AS m ON m.series_id = n.series_id
    WHERE n.aggregation = 'unique' AND m.window_start < n.final_before AND m.window_start >= $5
    UNION ALL
    SELECT p.series_id, p.window_start, 0, p.value, NULL, p.point_time, p.point_offset, false, true, NULL, -1
    FROM named AS n JOIN window_point AS p ON p.series_id = n.series_id
    WHERE n.aggregation = 'gauge' AND p.window_start < n.final_before AND p.window_start >= $5
    UNION ALL
    SELECT
        a.series_id, a.window_start, a.events, a.value, a.member, a.event_time,
        coalesce(a.value_offset, a.record_offset), a.kind = 'void', num_nonnulls(a.value, a.member) > 0, a.kind,
        a.record_offset
    FROM beside AS a
)
SELECT
    n.meter, n.subject, n.groups, p.window_start, n.aggregation, r.replaces_before,
    p.events, p.value, p.member, p.value_time, p.value_offset, p.is_void,
    p.has_value AND (
        r.series_id IS NULL
        OR p.record_offset >= CASE p.kind WHEN 'correction' THEN r.promotion ELSE r.replaces_before END
    ) AS stands
FROM named AS n
JOIN part AS p ON p.series_id = n.series_id
LEFT JOIN replaced AS r ON r.series_id = p.series_id AND r.window_start = p.window_start
ORDER BY 1, 2, 3, 4

-- name: insert_terms_promotion
INSERT INTO terms_promotion (revision, known_from, who, reason, shadow_schema, evidence) VALUES ($1, $2, $3, $4, $5, $6)

-- name: insert_corrections
INSERT INTO adjustment (
    partition, kind, record_offset, batch_first_offset, meter_version_id, series_id, window_start, events, value, member,
    event_time, value_offset, replaces_before, log_time
)
SELECT
    -1, 'correction', g.number, g.promotion, g.meter_version_id, g.series_id, g.window_start, g.events,
    g.value::numeric, g.member, g.event_time, g.value_offset, g.replaces_before, g.log_time
FROM unnest(
    $1::bigint[], $2::bigint[], $3::integer[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::text[], $8::text[],
    $9::timestamptz[], $10::bigint[], $11::bigint[], $12::timestamptz[]
) AS g (
    number, promotion, meter_version_id, series_id, window_start, events, value, member, event_time, value_offset,
    replaces_before, log_time
)
