-- name: lock_billing
SELECT pg_advisory_xact_lock(hashtextextended('billing of ' || current_schema(), 0))

-- name: lock_billing_shared
SELECT pg_advisory_xact_lock_shared(hashtextextended('billing of ' || current_schema(), 0))

-- name: be_patient
-- For this transaction: nothing is asked while much is compared; and the rows of a whole file ($1) are written by one
-- statement, which may wait for another file.
SELECT
    set_config('idle_in_transaction_session_timeout', '0', true),
    CASE WHEN $1::boolean THEN set_config('statement_timeout', '0', true) END,
    CASE WHEN $1::boolean THEN set_config('lock_timeout', '0', true) END

-- name: billing_revision
SELECT coalesce(max(revision), 0) FROM billing_apply

-- name: plan_versions
SELECT plan_version_id, plan, version, definition, effective_from, retired, known_from
FROM plan_version
ORDER BY plan, version

-- name: plan_versions_of
SELECT plan_version_id, plan, version, definition, effective_from, retired, known_from
FROM plan_version
WHERE plan = ANY ($1::text[])
ORDER BY plan, version

-- name: subscription_versions
SELECT subscription_version_id, subscription, version, definition, effective_from, retired, known_from
FROM subscription_version
ORDER BY subscription, version

-- name: subscription_versions_of
SELECT
    v.subscription_version_id, v.subscription, v.version, v.definition, v.effective_from, v.retired, v.known_from
FROM unnest($1::text[]) AS n (subscription)
JOIN subscription_version AS v ON v.subscription = n.subscription
ORDER BY v.subscription, v.version

-- name: subscriptions_of_subjects
SELECT subject, subscription FROM subscription_subject WHERE subject = ANY ($1::text[])

-- name: subscriptions_on_plans
SELECT DISTINCT v.subscription
FROM unnest($1::text[]) AS n (plan)
JOIN subscription_version AS v ON v.plan = n.plan

-- name: promoted_subscriptions
-- Those of which terms, or terms of a plan that they were ever on, were promoted at a log time in [$1, $2).
SELECT v.subscription FROM subscription_version AS v WHERE v.known_from >= $1 AND v.known_from < $2
UNION
SELECT v.subscription
FROM plan_version AS p
JOIN subscription_version AS v ON v.plan = p.plan
WHERE p.known_from >= $1 AND p.known_from < $2

-- name: subscription_page
SELECT subscription FROM subscription_version
WHERE version = 1 AND subscription > $1
ORDER BY subscription
LIMIT $2

-- name: subscription_page_of
SELECT v.subscription
FROM unnest($1::text[]) AS n (customer)
JOIN subscription_version AS v ON v.customer = n.customer
WHERE v.version = 1 AND v.subscription > $2
ORDER BY v.subscription
LIMIT $3

-- name: rated_through
SELECT r.subscription, r.next_period_start
FROM unnest($1::text[]) AS n (subscription)
JOIN subscription_rating AS r ON r.subscription = n.subscription

-- name: insert_billing_apply
INSERT INTO billing_apply (applied_by, digest) VALUES ($1, $2) RETURNING revision

-- name: insert_plan_versions
INSERT INTO plan_version (plan, version, definition, effective_from, retired, revision, known_from)
SELECT g.plan, g.version, g.definition::jsonb, g.effective_from, g.retired, $6::integer, $7::timestamptz
FROM unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[], $5::boolean[])
    AS g (plan, version, definition, effective_from, retired)

-- name: insert_subscription_versions
INSERT INTO subscription_version (
    subscription, version, definition, effective_from, retired, customer, plan, revision, known_from
)
SELECT
    g.subscription, g.version, g.definition, g.effective_from, g.retired, g.definition ->> 'customer',
    g.definition ->> 'plan', $6::integer, $7::timestamptz
FROM (
    SELECT subscription, version, definition::jsonb, effective_from, retired
    FROM unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[], $5::boolean[])
        AS g (subscription, version, definition, effective_from, retired)
) AS g

-- name: insert_subscription_subjects
INSERT INTO subscription_subject (subject, subscription, customer)
SELECT g.subject, g.subscription, g.customer
FROM unnest($1::text[], $2::text[], $3::text[]) AS g (subject, subscription, customer)
ON CONFLICT DO NOTHING
