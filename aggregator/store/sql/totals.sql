-- name: versions_of_meter
SELECT meter_version_id, definition FROM meter_version WHERE meter = $1 ORDER BY version

-- name: totals
-- $1-$4: the meter's versions, the aggregation and window length of each, and where it keeps the groups asked for
--        (a JSON array of places in `groups`, null for a group that this version does not have).
-- $5, $6: first and last subject; $7, $8: [from, to) of window starts; $9: whether each window stands alone.
-- $10, $11: the groups that are filtered by (their places among those asked for), and their values.
-- A total is its windows and, beside them, the adjustments, signed: usage that came after the window was final, and
-- usage that was withdrawn. A gauge's newest point that still stands is looked for where points were withdrawn. Where
-- a promotion has replaced a window, its newest word stands, and what was added from `replaces_before` on.
WITH version AS (
    SELECT v.meter_version_id, v.aggregation, v.window_length, v.places::jsonb AS places
    FROM unnest($1::integer[], $2::text[], $3::interval[], $4::text[])
        AS v (meter_version_id, aggregation, window_length, places)
),
chosen AS (
    SELECT
        s.series_id, v.aggregation, v.window_length, s.subject,
        s.is_other AND jsonb_array_length(v.places) > 0 AS is_other, -- no groups asked for: nothing to be other than
        g.groups
    FROM version AS v
    JOIN series AS s ON s.meter_version_id = v.meter_version_id
    CROSS JOIN LATERAL (
        SELECT ARRAY(
            SELECT s.groups[p.place::integer]
            FROM jsonb_array_elements_text(v.places) WITH ORDINALITY AS p (place, position)
            ORDER BY p.position
        ) AS groups
    ) AS g
    WHERE s.subject BETWEEN $5::text AND $6::text
        AND NOT EXISTS (
            SELECT FROM unnest($10::integer[], $11::text[]) AS f (place, value)
            WHERE s.is_other OR g.groups[f.place] IS DISTINCT FROM f.value
        )
),
replaced AS (
    SELECT
        a.series_id, a.window_start, max(a.batch_first_offset) AS promotion, max(a.replaces_before) AS replaces_before
    FROM chosen AS c
    JOIN adjustment AS a ON a.series_id = c.series_id AND a.replaces_before IS NOT NULL
    WHERE c.aggregation IN ('min', 'max', 'last', 'unique', 'gauge')
        AND a.window_start >= $7::timestamptz AND a.window_start < $8::timestamptz
    GROUP BY a.series_id, a.window_start
),
withdrawn AS (
    SELECT c.series_id, a.window_start, a.event_time, a.value, count(*) AS points
    FROM chosen AS c
    JOIN adjustment AS a ON a.series_id = c.series_id AND a.kind = 'void'
    LEFT JOIN replaced AS n ON n.series_id = a.series_id AND n.window_start = a.window_start
    WHERE c.aggregation = 'gauge' AND a.window_start >= $7::timestamptz AND a.window_start < $8::timestamptz
        AND (n.window_start IS NULL OR a.record_offset >= n.replaces_before)
    GROUP BY c.series_id, a.window_start, a.event_time, a.value
),
thinned AS (
    SELECT w.series_id, w.window_start FROM withdrawn AS w
    UNION
    SELECT n.series_id, n.window_start
    FROM replaced AS n JOIN chosen AS c ON c.series_id = n.series_id AND c.aggregation = 'gauge'
),
standing AS (
    SELECT DISTINCT ON (p.series_id, p.window_start)
        p.series_id, p.window_start, p.shard, p.value, p.point_time, p.point_offset
    FROM (
        SELECT p.*, row_number() OVER (
            PARTITION BY p.series_id, p.window_start, p.point_time, p.value ORDER BY p.point_offset, p.shard
        ) AS place
        FROM (
            SELECT t.series_id, t.window_start, p.shard, p.value, p.point_time, p.point_offset
            FROM thinned AS t
            JOIN window_point AS p ON p.series_id = t.series_id AND p.window_start = t.window_start
            LEFT JOIN replaced AS n ON n.series_id = t.series_id AND n.window_start = t.window_start
            WHERE n.window_start IS NULL
            UNION ALL
            SELECT
                t.series_id, t.window_start, a.partition, a.value, a.event_time,
                coalesce(a.value_offset, a.record_offset)
            FROM thinned AS t
            JOIN adjustment AS a ON a.series_id = t.series_id AND a.window_start = t.window_start
            LEFT JOIN replaced AS n ON n.series_id = t.series_id AND n.window_start = t.window_start
            WHERE a.kind <> 'void' AND a.value IS NOT NULL AND (
                n.window_start IS NULL
                OR a.record_offset >= CASE a.kind WHEN 'correction' THEN n.promotion ELSE n.replaces_before END
            )
        ) AS p
    ) AS p
    LEFT JOIN withdrawn AS w
        ON w.series_id = p.series_id AND w.window_start = p.window_start AND w.event_time = p.point_time
        AND w.value = p.value
    WHERE p.place > coalesce(w.points, 0)
    ORDER BY p.series_id, p.window_start, p.point_time DESC, p.point_offset DESC, p.shard DESC
),
point AS (
    SELECT
        c.*, w.window_start, w.shard, w.events, w.value, w.value_time, w.value_offset, false AS is_adjustment,
        t.series_id IS NULL AND n.series_id IS NULL AS is_standing
    FROM chosen AS c
    JOIN usage_window AS w ON w.series_id = c.series_id
    LEFT JOIN thinned AS t ON t.series_id = w.series_id AND t.window_start = w.window_start
    LEFT JOIN replaced AS n ON n.series_id = w.series_id AND n.window_start = w.window_start
    WHERE w.window_start >= $7::timestamptz AND w.window_start < $8::timestamptz
    UNION ALL
    SELECT
        c.*, a.window_start, a.partition, a.events, a.value, a.event_time, coalesce(a.value_offset, a.record_offset),
        true,
        t.series_id IS NULL AND a.value IS NOT NULL AND (
            n.series_id IS NULL
            OR a.record_offset >= CASE a.kind WHEN 'correction' THEN n.promotion ELSE n.replaces_before END
        )
    FROM chosen AS c
    JOIN adjustment AS a ON a.series_id = c.series_id
    LEFT JOIN thinned AS t ON t.series_id = a.series_id AND t.window_start = a.window_start
    LEFT JOIN replaced AS n ON n.series_id = a.series_id AND n.window_start = a.window_start
    WHERE a.window_start >= $7::timestamptz AND a.window_start < $8::timestamptz
    UNION ALL
    SELECT c.*, s.window_start, s.shard, 0, s.value, s.point_time, s.point_offset, true, true
    FROM chosen AS c
    JOIN standing AS s ON s.series_id = c.series_id
),
member AS (
    SELECT c.*, m.window_start, m.member, false AS is_adjustment, n.series_id IS NULL AS is_standing
    FROM chosen AS c
    JOIN window_member AS m ON m.series_id = c.series_id
    LEFT JOIN replaced AS n ON n.series_id = m.series_id AND n.window_start = m.window_start
    WHERE c.aggregation = 'unique'
        AND m.window_start >= $7::timestamptz AND m.window_start < $8::timestamptz
    UNION ALL
    SELECT
        c.*, a.window_start, a.member, true,
        n.series_id IS NULL
        OR a.record_offset >= CASE a.kind WHEN 'correction' THEN n.promotion ELSE n.replaces_before END
    FROM chosen AS c
    JOIN adjustment AS a ON a.series_id = c.series_id
    LEFT JOIN replaced AS n ON n.series_id = a.series_id AND n.window_start = a.window_start
    WHERE c.aggregation = 'unique'
        AND a.window_start >= $7::timestamptz AND a.window_start < $8::timestamptz
),
members AS (
    SELECT
        m.subject, m.groups, m.is_other, CASE WHEN $9::boolean THEN m.window_start END AS window_start,
        count(DISTINCT m.member) FILTER (WHERE m.is_standing) AS value,
        count(DISTINCT m.member) FILTER (WHERE NOT m.is_adjustment) AS on_time_value
    FROM member AS m
    GROUP BY 1, 2, 3, 4
),
combined AS (
    SELECT
        p.aggregation, p.subject, p.groups, p.is_other,
        CASE WHEN $9::boolean THEN p.window_start END AS window_start,
        min(p.window_start) AS first_start,
        max(p.window_start + p.window_length) AS last_end,
        sum(p.events)::bigint AS events,
        coalesce(sum(p.events) FILTER (WHERE p.is_adjustment), 0)::bigint AS adjustment_events,
        CASE p.aggregation
            WHEN 'count' THEN sum(p.events)
            WHEN 'sum' THEN sum(p.value)
            WHEN 'min' THEN min(p.value) FILTER (WHERE p.is_standing)
            WHEN 'max' THEN max(p.value) FILTER (WHERE p.is_standing)
            ELSE (array_agg(
                p.value ORDER BY p.value_time DESC, p.value_offset DESC, p.shard DESC
            ) FILTER (WHERE p.aggregation IN ('last', 'gauge') AND p.is_standing))[1]
        END AS value,
        CASE p.aggregation
            WHEN 'count' THEN sum(p.events) FILTER (WHERE NOT p.is_adjustment)
            WHEN 'sum' THEN sum(p.value) FILTER (WHERE NOT p.is_adjustment)
            WHEN 'min' THEN min(p.value) FILTER (WHERE NOT p.is_adjustment)
            WHEN 'max' THEN max(p.value) FILTER (WHERE NOT p.is_adjustment)
            ELSE (array_agg(
                p.value ORDER BY p.value_time DESC, p.value_offset DESC, p.shard DESC
            ) FILTER (WHERE p.aggregation IN ('last', 'gauge') AND NOT p.is_adjustment))[1]
        END AS on_time_value
    FROM point AS p
    GROUP BY p.aggregation, p.subject, p.groups, p.is_other, 5
)
SELECT
    c.aggregation, c.subject, c.groups, c.is_other, c.first_start, c.last_end, c.events, c.adjustment_events,
    coalesce(c.value, m.value, CASE c.aggregation WHEN 'unique' THEN 0 END) AS value,
    coalesce(c.on_time_value, m.on_time_value) AS on_time_value
FROM combined AS c
LEFT JOIN members AS m
    ON c.aggregation = 'unique' AND m.subject = c.subject AND m.groups = c.groups AND m.is_other = c.is_other
    AND m.window_start IS NOT DISTINCT FROM c.window_start
ORDER BY c.first_start, c.subject, c.is_other, c.groups, c.aggregation
