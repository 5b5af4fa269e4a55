-- name: search_customers
-- Customers of whom the name, a subscription or a subject contains $1; $2: only these, null for all; $3: how many.
SELECT n.customer, count(DISTINCT n.subscription) AS subscriptions
FROM (
    SELECT v.customer, v.subscription, v.customer || E'\n' || v.subscription AS names
    FROM subscription_version AS v
    WHERE v.version = 1
    UNION ALL
    SELECT s.customer, s.subscription, s.subject FROM subscription_subject AS s
) AS n
WHERE ($2::text[] IS NULL OR n.customer = ANY ($2::text[]))
    AND position(lower($1::text) IN lower(n.names)) > 0
GROUP BY n.customer
ORDER BY n.customer
LIMIT $3

-- name: newest_periods_of
-- The newest version of the last $2 rated periods of each of these subscriptions, the latest first.
SELECT r.*
FROM unnest($1::text[]) AS n (subscription)
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (t.period_start)
        t.subscription, t.customer, t.period_start, t.period_end, t.version, t.cut, t.currency, t.amount,
        t.unrounded_amount, t.difference, t.digest, t.feed_position
    FROM rated_total AS t
    WHERE t.subscription = n.subscription
    ORDER BY t.period_start DESC, t.version DESC
    LIMIT $2
) AS r
ORDER BY r.subscription, r.period_start DESC

-- name: offsets_behind
-- $1: meter versions; $2: subjects; $3, $4: [from, to) of window starts; $5: what stands beside them, up to this log
-- time. Of each meter version, partition and kind: how much there is, and which offsets it names.
SELECT
    s.meter_version_id, w.shard AS partition, 'window' AS kind, count(*) AS rows, sum(w.events)::bigint AS events,
    min(w.first_offset) AS first_offset, max(w.last_offset) AS last_offset
FROM series AS s
JOIN usage_window AS w ON w.series_id = s.series_id
WHERE s.meter_version_id = ANY ($1::integer[]) AND s.subject = ANY ($2::text[])
    AND w.window_start >= $3 AND w.window_start < $4
GROUP BY s.meter_version_id, w.shard
UNION ALL
SELECT
    s.meter_version_id, a.partition, a.kind, count(*), sum(a.events)::bigint, min(a.record_offset), max(a.record_offset)
FROM series AS s
JOIN adjustment AS a ON a.series_id = s.series_id
WHERE s.meter_version_id = ANY ($1::integer[]) AND s.subject = ANY ($2::text[])
    AND a.window_start >= $3 AND a.window_start < $4 AND a.log_time < $5
GROUP BY s.meter_version_id, a.partition, a.kind
ORDER BY 1, 2, 3
