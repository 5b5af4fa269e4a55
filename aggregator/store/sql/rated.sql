-- name: has_version
SELECT EXISTS (SELECT FROM rated_total AS r WHERE r.subscription = $1 AND r.period_start = $2)

-- name: newest_of_each_subscription
-- The newest version of the newest rated period of each subscription.
SELECT DISTINCT ON (r.subscription)
    r.subscription, r.customer, r.period_start, r.period_end, r.version, r.cut, r.currency, r.amount,
    r.unrounded_amount, r.difference, r.digest, r.feed_position
FROM rated_total AS r
ORDER BY r.subscription, r.period_start DESC, r.version DESC

-- name: newest_of_each_period
SELECT DISTINCT ON (r.period_start)
    r.subscription, r.customer, r.period_start, r.period_end, r.version, r.cut, r.currency, r.amount,
    r.unrounded_amount, r.difference, r.digest, r.feed_position
FROM rated_total AS r
WHERE r.subscription = $1
ORDER BY r.period_start, r.version DESC

-- name: versions_of_period
SELECT
    r.subscription, r.customer, r.period_start, r.period_end, r.version, r.cut, r.currency, r.amount,
    r.unrounded_amount, r.difference, r.digest, r.feed_position
FROM rated_total AS r
WHERE r.subscription = $1 AND r.period_start = $2
ORDER BY r.version

-- name: rated_document
SELECT r.document::text AS document
FROM rated_total AS r
WHERE r.subscription = $1 AND r.period_start = $2 AND r.version = $3
