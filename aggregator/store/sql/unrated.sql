-- Usage that nobody pays for, and subscriptions that nobody uses.

-- name: unpaid_gaps
-- $1: versions of a meter. $2-$4: subjects, each with [from, to) of the window starts that are looked at; a subject may
--     come several times.
-- A row is what one series has within one time in which nobody pays for it.
SELECT
    u.subject, u.meter_version_id, u.groups, u.reason,
    greatest(r.range_start, coalesce(lower(u.during), '-infinity')) AS gap_start,
    w.first_start, w.last_start, w.events
FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[]) AS r (subject, range_start, range_end)
CROSS JOIN unnest($1::integer[]) AS v (meter_version_id)
JOIN unpaid AS u ON u.meter_version_id = v.meter_version_id AND u.subject = r.subject
CROSS JOIN LATERAL (
    SELECT min(p.window_start) AS first_start, max(p.window_start) AS last_start, sum(p.events)::bigint AS events
    FROM (
        SELECT w.window_start, w.events FROM usage_window AS w
        WHERE w.series_id = u.series_id
            AND w.window_start >= greatest(r.range_start, coalesce(lower(u.during), '-infinity'))
            AND w.window_start < least(r.range_end, coalesce(upper(u.during), 'infinity'))
        UNION ALL
        SELECT a.window_start, a.events FROM adjustment AS a
        WHERE a.series_id = u.series_id
            AND a.window_start >= greatest(r.range_start, coalesce(lower(u.during), '-infinity'))
            AND a.window_start < least(r.range_end, coalesce(upper(u.during), 'infinity'))
    ) AS p
) AS w
WHERE w.events <> 0

-- name: charged_times
-- When a plan charges each meter of some subscriptions for each of their subjects.
SELECT c.subscription, c.customer, c.meter, c.subject, lower(u.during) AS charged_from, upper(u.during) AS charged_to
FROM (
    SELECT t.subscription, t.customer, m.meter, s.subject, range_agg(t.during) AS during
    FROM unnest($1::text[]) AS n (subscription)
    JOIN subscription_stretch AS t ON t.subscription = n.subscription
    CROSS JOIN LATERAL (
        SELECT DISTINCT c.charge ->> 'meter' AS meter
        FROM jsonb_array_elements(t.charges) AS c (charge)
        WHERE c.charge ? 'meter'
    ) AS m
    CROSS JOIN LATERAL jsonb_array_elements_text(t.subjects) AS s (subject)
    GROUP BY t.subscription, t.customer, m.meter, s.subject
) AS c
CROSS JOIN LATERAL unnest(c.during) AS u (during)
ORDER BY c.subscription, c.meter, c.subject, u.during

-- name: last_uses
-- $1: numbers of requests; several elements may share one. $2: a meter version; $3: its window's length; $4: a subject;
-- $5, $6: [from, to) of window starts.
-- When the last window with events ended; what was withdrawn again had events too. A request without has no row.
SELECT r.request, max(u.window_start + r.window_length) AS last_end
FROM unnest($1::integer[], $2::integer[], $3::interval[], $4::text[], $5::timestamptz[], $6::timestamptz[])
    AS r (request, meter_version_id, window_length, subject, range_start, range_end)
JOIN series AS s ON s.meter_version_id = r.meter_version_id AND s.subject = r.subject
CROSS JOIN LATERAL (
    (
        SELECT w.window_start FROM usage_window AS w
        WHERE w.series_id = s.series_id AND w.window_start >= r.range_start AND w.window_start < r.range_end
        ORDER BY w.window_start DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT a.window_start FROM adjustment AS a
        WHERE a.series_id = s.series_id AND a.window_start >= r.range_start AND a.window_start < r.range_end
            AND a.kind = 'late'
        ORDER BY a.window_start DESC
        LIMIT 1
    )
) AS u
GROUP BY r.request

-- name: longest_gaps
-- As last_uses: when the first window with events began, and the longest time from a window with events to the next.
SELECT g.request, min(g.window_start) AS first_start, max(g.window_start - g.used_until) AS longest_gap
FROM (
    SELECT
        r.request, u.window_start,
        max(u.window_start + r.window_length) OVER (
            PARTITION BY r.request ORDER BY u.window_start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS used_until
    FROM unnest($1::integer[], $2::integer[], $3::interval[], $4::text[], $5::timestamptz[], $6::timestamptz[])
        AS r (request, meter_version_id, window_length, subject, range_start, range_end)
    JOIN series AS s ON s.meter_version_id = r.meter_version_id AND s.subject = r.subject
    CROSS JOIN LATERAL (
        SELECT w.window_start FROM usage_window AS w
        WHERE w.series_id = s.series_id AND w.window_start >= r.range_start AND w.window_start < r.range_end
        UNION ALL
        SELECT a.window_start FROM adjustment AS a
        WHERE a.series_id = s.series_id AND a.window_start >= r.range_start AND a.window_start < r.range_end
            AND a.kind = 'late'
    ) AS u
) AS g
GROUP BY g.request

-- name: last_periods_before
-- The newest version of the last rated period of each subscription that had ended by an instant.
SELECT g.request, r.period_start, r.version, r.currency, r.document
FROM unnest($1::integer[], $2::text[], $3::timestamptz[]) AS g (request, subscription, instant)
CROSS JOIN LATERAL (
    SELECT r.period_start, r.version, r.currency, r.document::text AS document
    FROM rated_total AS r
    WHERE r.subscription = g.subscription AND r.period_start < g.instant AND r.period_end <= g.instant
    ORDER BY r.period_start DESC, r.version DESC
    LIMIT 1
) AS r
