-- name: newest_versions_known
-- Versions are applied under exclusive locks, so all with smaller ids are visible too.
SELECT
    (SELECT coalesce(max(subscription_version_id), 0) FROM subscription_version) AS subscription_version_id,
    (SELECT coalesce(max(plan_version_id), 0) FROM plan_version) AS plan_version_id,
    (SELECT coalesce(max(meter_version_id), 0) FROM meter_version) AS meter_version_id

-- name: subscriptions_since
SELECT DISTINCT s.subscription FROM subscription_version AS s WHERE s.subscription_version_id > $1

-- name: subscriptions_with_thresholds
SELECT DISTINCT s.subscription
FROM subscription_version AS s
WHERE jsonb_array_length(s.definition -> 'thresholds') > 0
