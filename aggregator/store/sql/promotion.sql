-- name: final_units
-- What each final window of the meters that add up comes to, with all that stands beside it: $1, $2 are partitions
-- and up to which offset each counts here; $3, $4 meters and the instant before which their windows are compared.
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
    WHERE w.window_start < n.final_before
    UNION ALL
    SELECT n.*, a.window_start, a.events, a.value
    FROM named AS n
    JOIN adjustment AS a ON a.series_id = n.series_id
    JOIN unnest($1::integer[], $2::bigint[]) AS e (partition, next_offset) ON e.partition = a.partition
    WHERE a.window_start < n.final_before AND a.record_offset < e.next_offset
)
SELECT
    p.meter, p.subject, p.groups, p.window_start, sum(p.events)::bigint AS events, coalesce(sum(p.value), 0) AS value
FROM part AS p
GROUP BY 1, 2, 3, 4
HAVING sum(p.events) <> 0 OR sum(p.value) <> 0
ORDER BY 1, 2, 3, 4
