-- name: usage_subjects
-- $1: a meter's versions; $2: the first subject; $3: only these, null for every one; $4: how many.
-- Each version's subjects by its index, then the first of all of these.
SELECT DISTINCT one.subject
FROM unnest($1::integer[]) AS v (meter_version_id)
CROSS JOIN LATERAL (
    SELECT DISTINCT s.subject
    FROM series AS s
    WHERE s.meter_version_id = v.meter_version_id AND s.subject >= $2
        AND ($3::text[] IS NULL OR s.subject = ANY ($3::text[]))
    ORDER BY s.subject
    LIMIT $4
) AS one
ORDER BY one.subject
LIMIT $4

-- name: customer_of_subscription
-- The same in every version.
SELECT v.customer FROM subscription_version AS v WHERE v.subscription = $1 AND v.version = 1

-- name: rated_periods_page
-- The newest version of each rated period that begins after $2, in order of time.
SELECT DISTINCT ON (r.period_start)
    r.subscription, r.customer, r.period_start, r.period_end, r.version, r.cut, r.currency, r.amount,
    r.unrounded_amount, r.difference, r.digest, r.feed_position
FROM rated_total AS r
WHERE r.subscription = $1 AND r.period_start > $2
ORDER BY r.period_start, r.version DESC
LIMIT $3
