-- What subjects used, for many questions at once. Each statement begins with the same six arrays, an element a
-- question:
-- $1: its number; $2: a meter version; $3: a subject; $4, $5: [from, to) of window starts; $6: the cut: only
--     adjustments of a smaller log time are in it.
-- A row speaks of one series: `groups` in the order of the meter version, null for `other`.
-- Of a window that a promotion has replaced only that counts that the newest promotion says, and what came late or was
-- withdrawn from the offset `replaces_before` on. The events of all rows add up all the same.

-- name: usage_sums
-- $7: the meter version's aggregation. Series without a window and an adjustment have no row.
SELECT r.request, r.meter_version_id, s.groups, u.events, u.value, u.value_time, u.value_offset
FROM unnest($1::integer[], $2::integer[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::text[])
    AS r (request, meter_version_id, subject, range_start, range_end, cut, aggregation)
JOIN series AS s ON s.meter_version_id = r.meter_version_id AND s.subject = r.subject
CROSS JOIN LATERAL (
    SELECT
        count(*) AS parts,
        sum(p.events)::bigint AS events,
        CASE r.aggregation
            WHEN 'count' THEN sum(p.events)
            WHEN 'sum' THEN sum(p.value)
            WHEN 'min' THEN min(p.value) FILTER (WHERE p.stands)
            WHEN 'max' THEN max(p.value) FILTER (WHERE p.stands)
            WHEN 'last' THEN (
                array_agg(p.value ORDER BY p.value_time DESC, p.value_offset DESC) FILTER (
                    WHERE p.stands AND p.value IS NOT NULL
                )
            )[1]
        END AS value,
        CASE r.aggregation
            WHEN 'last' THEN (
                array_agg(p.value_time ORDER BY p.value_time DESC, p.value_offset DESC) FILTER (
                    WHERE p.stands AND p.value IS NOT NULL
                )
            )[1]
        END AS value_time,
        CASE r.aggregation
            WHEN 'last' THEN (
                array_agg(p.value_offset ORDER BY p.value_time DESC, p.value_offset DESC) FILTER (
                    WHERE p.stands AND p.value IS NOT NULL
                )
            )[1]
        END AS value_offset
    FROM (
        SELECT
            i.events, i.value, i.value_time, i.value_offset,
            n.window_start IS NULL OR i.record_offset >= CASE i.kind
                WHEN 'correction' THEN n.promotion
                ELSE n.replaces_before
            END AS stands
        FROM (
            SELECT
                w.window_start, w.events, w.value, w.value_time, w.value_offset, NULL AS kind, -1 AS record_offset
            FROM usage_window AS w
            WHERE w.series_id = s.series_id AND w.window_start >= r.range_start AND w.window_start < r.range_end
            UNION ALL
            SELECT
                a.window_start, a.events, a.value, a.event_time, coalesce(a.value_offset, a.record_offset), a.kind,
                a.record_offset
            FROM adjustment AS a
            WHERE a.series_id = s.series_id AND a.window_start >= r.range_start AND a.window_start < r.range_end
                AND a.log_time < r.cut
        ) AS i
        LEFT JOIN (
            SELECT a.window_start, max(a.batch_first_offset) AS promotion, max(a.replaces_before) AS replaces_before
            FROM adjustment AS a
            WHERE r.aggregation IN ('min', 'max', 'last') AND a.series_id = s.series_id
                AND a.window_start >= r.range_start AND a.window_start < r.range_end
                AND a.replaces_before IS NOT NULL AND a.log_time < r.cut
            GROUP BY a.window_start
        ) AS n ON n.window_start = i.window_start
    ) AS p
) AS u
WHERE u.parts > 0

-- name: usage_windows
-- As usage_sums, but a row for each window.
SELECT r.request, r.meter_version_id, s.groups, u.window_start, u.events, u.value, u.value_time, u.value_offset
FROM unnest($1::integer[], $2::integer[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::text[])
    AS r (request, meter_version_id, subject, range_start, range_end, cut, aggregation)
JOIN series AS s ON s.meter_version_id = r.meter_version_id AND s.subject = r.subject
CROSS JOIN LATERAL (
    SELECT
        p.window_start,
        sum(p.events)::bigint AS events,
        CASE r.aggregation
            WHEN 'count' THEN sum(p.events)
            WHEN 'sum' THEN sum(p.value)
            WHEN 'min' THEN min(p.value) FILTER (WHERE p.stands)
            WHEN 'max' THEN max(p.value) FILTER (WHERE p.stands)
            WHEN 'last' THEN (
                array_agg(p.value ORDER BY p.value_time DESC, p.value_offset DESC) FILTER (
                    WHERE p.stands AND p.value IS NOT NULL
                )
            )[1]
        END AS value,
        CASE r.aggregation
            WHEN 'last' THEN (
                array_agg(p.value_time ORDER BY p.value_time DESC, p.value_offset DESC) FILTER (
                    WHERE p.stands AND p.value IS NOT NULL
                )
            )[1]
        END AS value_time,
        CASE r.aggregation
            WHEN 'last' THEN (
                array_agg(p.value_offset ORDER BY p.value_time DESC, p.value_offset DESC) FILTER (
                    WHERE p.stands AND p.value IS NOT NULL
                )
            )[1]
        END AS value_offset
    FROM (
        SELECT
            i.window_start, i.events, i.value, i.value_time, i.value_offset,
            n.window_start IS NULL OR i.record_offset >= CASE i.kind
                WHEN 'correction' THEN n.promotion
                ELSE n.replaces_before
            END AS stands
        FROM (
            SELECT
                w.window_start, w.events, w.value, w.value_time, w.value_offset, NULL AS kind, -1 AS record_offset
            FROM usage_window AS w
            WHERE w.series_id = s.series_id AND w.window_start >= r.range_start AND w.window_start < r.range_end
            UNION ALL
            SELECT
                a.window_start, a.events, a.value, a.event_time, coalesce(a.value_offset, a.record_offset), a.kind,
                a.record_offset
            FROM adjustment AS a
            WHERE a.series_id = s.series_id AND a.window_start >= r.range_start AND a.window_start < r.range_end
                AND a.log_time < r.cut
        ) AS i
        LEFT JOIN (
            SELECT a.window_start, max(a.batch_first_offset) AS promotion, max(a.replaces_before) AS replaces_before
            FROM adjustment AS a
            WHERE r.aggregation IN ('min', 'max', 'last') AND a.series_id = s.series_id
                AND a.window_start >= r.range_start AND a.window_start < r.range_end
                AND a.replaces_before IS NOT NULL AND a.log_time < r.cut
            GROUP BY a.window_start
        ) AS n ON n.window_start = i.window_start
    ) AS p
    GROUP BY p.window_start
) AS u

-- name: usage_members
-- The different members of each series of a `unique` meter.
SELECT r.request, r.meter_version_id, s.groups, u.members
FROM unnest($1::integer[], $2::integer[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[])
    AS r (request, meter_version_id, subject, range_start, range_end, cut)
JOIN series AS s ON s.meter_version_id = r.meter_version_id AND s.subject = r.subject
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT p.member) AS members
    FROM (
        SELECT m.window_start, m.member, NULL AS kind, -1 AS record_offset
        FROM window_member AS m
        WHERE m.series_id = s.series_id AND m.window_start >= r.range_start AND m.window_start < r.range_end
        UNION ALL
        SELECT a.window_start, a.member, a.kind, a.record_offset
        FROM adjustment AS a
        WHERE a.series_id = s.series_id AND a.window_start >= r.range_start AND a.window_start < r.range_end
            AND a.log_time < r.cut AND a.member IS NOT NULL
    ) AS p
    LEFT JOIN (
        SELECT a.window_start, max(a.batch_first_offset) AS promotion, max(a.replaces_before) AS replaces_before
        FROM adjustment AS a
        WHERE a.series_id = s.series_id AND a.window_start >= r.range_start AND a.window_start < r.range_end
            AND a.replaces_before IS NOT NULL AND a.log_time < r.cut
        GROUP BY a.window_start
    ) AS n ON n.window_start = p.window_start
    WHERE n.window_start IS NULL
        OR p.record_offset >= CASE p.kind WHEN 'correction' THEN n.promotion ELSE n.replaces_before END
) AS u
WHERE u.members IS NOT NULL

-- name: usage_points
-- The points of each series of a `gauge` meter, and before them the last earlier one, which is carried in. A void
-- takes away one point of its time and value, of several the one of the least offset. Windows that were replaced are
-- looked at apart from all others.
SELECT r.request, r.meter_version_id, s.groups, u.point_time, u.point_offset, u.value
FROM unnest($1::integer[], $2::integer[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[])
    AS r (request, meter_version_id, subject, range_start, range_end, cut)
JOIN series AS s ON s.meter_version_id = r.meter_version_id AND s.subject = r.subject
CROSS JOIN LATERAL (
    WITH replaced AS (
        SELECT a.window_start, max(a.batch_first_offset) AS promotion, max(a.replaces_before) AS replaces_before
        FROM adjustment AS a
        WHERE a.series_id = s.series_id AND a.window_start < r.range_end AND a.replaces_before IS NOT NULL
            AND a.log_time < r.cut
        GROUP BY a.window_start
    ),
    corrected AS (
        SELECT i.window_start, i.point_time, i.point_offset, i.value
        FROM (
            SELECT
                a.window_start, a.event_time AS point_time, coalesce(a.value_offset, a.record_offset) AS point_offset,
                a.value, n.replaces_before,
                row_number() OVER (
                    PARTITION BY a.event_time, a.value ORDER BY coalesce(a.value_offset, a.record_offset)
                ) AS place
            FROM replaced AS n
            JOIN adjustment AS a ON a.series_id = s.series_id AND a.window_start = n.window_start
            WHERE a.log_time < r.cut AND a.kind <> 'void' AND a.value IS NOT NULL
                AND a.record_offset >= CASE a.kind WHEN 'correction' THEN n.promotion ELSE n.replaces_before END
        ) AS i
        WHERE i.place > (
            SELECT count(*)
            FROM adjustment AS v
            WHERE v.series_id = s.series_id AND v.window_start = i.window_start AND v.kind = 'void'
                AND v.event_time = i.point_time AND v.value = i.value AND v.log_time < r.cut
                AND v.record_offset >= i.replaces_before
        )
    )
    SELECT i.point_time, i.point_offset, i.value
    FROM (
        SELECT
            p.point_time, p.value, p.point_offset,
            row_number() OVER (PARTITION BY p.point_time, p.value ORDER BY p.point_offset) AS place,
            p.window_start
        FROM (
            SELECT w.window_start, w.point_time, w.point_offset, w.value
            FROM window_point AS w
            WHERE w.series_id = s.series_id AND w.window_start >= r.range_start AND w.window_start < r.range_end
            UNION ALL
            SELECT a.window_start, a.event_time, a.record_offset, a.value
            FROM adjustment AS a
            WHERE a.series_id = s.series_id AND a.window_start >= r.range_start AND a.window_start < r.range_end
                AND a.kind = 'late' AND a.log_time < r.cut
        ) AS p
    ) AS i
    WHERE i.place > (
        SELECT count(*)
        FROM adjustment AS v
        WHERE v.series_id = s.series_id AND v.window_start = i.window_start AND v.kind = 'void'
            AND v.event_time = i.point_time AND v.value = i.value AND v.log_time < r.cut
    )
        AND NOT EXISTS (SELECT FROM replaced AS n WHERE n.window_start = i.window_start)
    UNION ALL
    SELECT c.point_time, c.point_offset, c.value FROM corrected AS c WHERE c.window_start >= r.range_start
    UNION ALL
    (
        SELECT e.point_time, e.point_offset, e.value
        FROM (
            SELECT c.point_time, c.point_offset, c.value FROM corrected AS c WHERE c.window_start < r.range_start
            UNION ALL
            (
                SELECT w.point_time, w.point_offset, w.value
                FROM window_point AS w
                WHERE w.series_id = s.series_id AND w.window_start < r.range_start
                    AND NOT EXISTS (SELECT FROM replaced AS n WHERE n.window_start = w.window_start)
                    AND (
                        SELECT count(*)
                        FROM adjustment AS v
                        WHERE v.series_id = s.series_id AND v.window_start = w.window_start AND v.kind = 'void'
                            AND v.event_time = w.point_time AND v.value = w.value AND v.log_time < r.cut
                    ) <= (
                        SELECT count(*)
                        FROM window_point AS o
                        WHERE o.series_id = s.series_id AND o.window_start = w.window_start
                            AND o.point_time = w.point_time AND o.value = w.value AND o.point_offset < w.point_offset
                    ) + (
                        SELECT count(*)
                        FROM adjustment AS o
                        WHERE o.series_id = s.series_id AND o.window_start = w.window_start AND o.kind = 'late'
                            AND o.event_time = w.point_time AND o.value = w.value
                            AND o.record_offset < w.point_offset AND o.log_time < r.cut
                    )
                ORDER BY w.window_start DESC, w.point_time DESC, w.point_offset DESC
                LIMIT 1
            )
            UNION ALL
            (
                SELECT a.event_time, a.record_offset, a.value
                FROM adjustment AS a
                WHERE a.series_id = s.series_id AND a.window_start < r.range_start AND a.kind = 'late'
                    AND a.log_time < r.cut
                    AND NOT EXISTS (SELECT FROM replaced AS n WHERE n.window_start = a.window_start)
                    AND (
                        SELECT count(*)
                        FROM adjustment AS v
                        WHERE v.series_id = s.series_id AND v.window_start = a.window_start AND v.kind = 'void'
                            AND v.event_time = a.event_time AND v.value = a.value AND v.log_time < r.cut
                    ) <= (
                        SELECT count(*)
                        FROM adjustment AS o
                        WHERE o.series_id = s.series_id AND o.window_start = a.window_start AND o.kind = 'late'
                            AND o.event_time = a.event_time AND o.value = a.value
                            AND o.record_offset < a.record_offset AND o.log_time < r.cut
                    ) + (
                        SELECT count(*)
                        FROM window_point AS o
                        WHERE o.series_id = s.series_id AND o.window_start = a.window_start
                            AND o.point_time = a.event_time AND o.value = a.value AND o.point_offset < a.record_offset
                    )
                ORDER BY a.window_start DESC, a.event_time DESC, a.record_offset DESC
                LIMIT 1
            )
        ) AS e
        ORDER BY e.point_time DESC, e.point_offset DESC
        LIMIT 1
    )
) AS u
ORDER BY r.request, r.meter_version_id, s.series_id, u.point_time, u.point_offset
