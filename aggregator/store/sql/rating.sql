-- name: due_periods
-- The first unrated period of each subscription that can be rated at this log time.
SELECT r.subscription, r.next_period_start
FROM subscription_rating AS r
WHERE r.due_at <= $1
ORDER BY r.due_at, r.subscription
LIMIT $2

-- name: schedule_subscriptions
INSERT INTO subscription_rating (subscription, next_period_start, due_at)
SELECT g.subscription, g.next_period_start, g.due_at
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS g (subscription, next_period_start, due_at)
ON CONFLICT (subscription) DO UPDATE SET due_at = excluded.due_at
WHERE subscription_rating.due_at <> excluded.due_at

-- name: advance_subscriptions
-- Only from where this rater believed them to be.
UPDATE subscription_rating AS r
SET next_period_start = g.next_period_start, due_at = g.due_at
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[])
    AS g (subscription, expected, next_period_start, due_at)
WHERE r.subscription = g.subscription AND r.next_period_start = g.expected
RETURNING r.subscription

-- name: insert_rated_totals
-- Arrays of arrays must be even, so ids come as the text of an array.
INSERT INTO rated_total (
    subscription, period_start, version, customer, period_end, cut, currency, amount, unrounded_amount, difference,
    subscription_version_ids, plan_version_ids, meter_version_ids, digest, document, feed_position
)
SELECT
    g.subscription, g.period_start, g.version, g.customer, g.period_end, g.cut, g.currency, g.amount::numeric,
    g.unrounded_amount, g.difference::numeric, g.subscription_version_ids::integer[], g.plan_version_ids::integer[],
    g.meter_version_ids::integer[], g.digest, g.document::json, g.feed_position
FROM unnest(
    $1::text[], $2::timestamptz[], $3::integer[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::text[],
    $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bytea[], $15::text[],
    $16::bigint[]
) AS g (
    subscription, period_start, version, customer, period_end, cut, currency, amount, unrounded_amount, difference,
    subscription_version_ids, plan_version_ids, meter_version_ids, digest, document, feed_position
)

-- name: insert_threshold_crossings
INSERT INTO threshold_crossing (subscription, period_start, threshold, feed_position)
SELECT g.subscription, g.period_start, g.threshold, g.feed_position
FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::bigint[])
    AS g (subscription, period_start, threshold, feed_position)

-- name: threshold_crossings
SELECT c.subscription, c.period_start, c.threshold
FROM unnest($1::text[], $2::timestamptz[]) AS g (subscription, period_start)
JOIN threshold_crossing AS c ON c.subscription = g.subscription AND c.period_start = g.period_start

-- name: newest_versions
SELECT v.subscription, v.period_start, v.document::text AS document
FROM unnest($1::text[], $2::timestamptz[]) AS g (subscription, period_start)
CROSS JOIN LATERAL (
    SELECT r.subscription, r.period_start, r.document
    FROM rated_total AS r
    WHERE r.subscription = g.subscription AND r.period_start = g.period_start
    ORDER BY r.version DESC
    LIMIT 1
) AS v

-- name: due_cuts
SELECT c.subscription, c.period_start, c.cut
FROM pending_cut AS c
WHERE c.cut <= $1
ORDER BY c.cut, c.subscription, c.period_start
LIMIT $2

-- name: insert_pending_cuts
INSERT INTO pending_cut (subscription, period_start, cut)
SELECT DISTINCT g.subscription, g.period_start, g.cut
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS g (subscription, period_start, cut)
ON CONFLICT DO NOTHING

-- name: delete_pending_cuts
DELETE FROM pending_cut AS c
USING unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS g (subscription, period_start, cut)
WHERE c.subscription = g.subscription AND c.period_start = g.period_start AND c.cut = g.cut

-- name: rater_progress
SELECT adjusted_through, subscription_version_id, plan_version_id, meter_version_id FROM rater_progress

-- name: move_adjusted_through
UPDATE rater_progress SET adjusted_through = $2 WHERE adjusted_through = $1 RETURNING true

-- name: move_known_versions
UPDATE rater_progress SET subscription_version_id = $1, plan_version_id = $2, meter_version_id = $3

-- name: adjusted_usage
-- Adjustments of a stretch of log time [$1, $2): whose usage they are of, when, and as of which second of the log.
-- Cuts lie on whole seconds.
-- LIMIT: each series by its key, or every second of the log would read all of them.
SELECT DISTINCT s.subject, a.meter_version_id, a.window_start, a.log_time
FROM (
    SELECT DISTINCT a.series_id, a.meter_version_id, a.window_start, date_trunc('second', a.log_time) AS log_time
    FROM adjustment AS a
    WHERE a.log_time >= $1 AND a.log_time < $2
) AS a
CROSS JOIN LATERAL (SELECT s.subject FROM series AS s WHERE s.series_id = a.series_id LIMIT 1) AS s

-- name: first_to_look_at
-- The first log time from $1 on at which anything was adjusted or promoted.
SELECT least(
    (SELECT min(a.log_time) FROM adjustment AS a WHERE a.log_time >= $1),
    (SELECT min(p.known_from) FROM plan_version AS p WHERE p.known_from >= $1),
    (SELECT min(s.known_from) FROM subscription_version AS s WHERE s.known_from >= $1)
)

-- name: is_rated
SELECT
    p.adjusted_through >= $1 AND p.subscription_version_id >= $2 AND p.plan_version_id >= $3
    AND p.meter_version_id >= $4
    AND (SELECT coalesce(min(r.due_at) > $1, true) FROM subscription_rating AS r)
    AND (SELECT coalesce(min(c.cut) > $1, true) FROM pending_cut AS c)
FROM rater_progress AS p

-- name: batch_spans
-- Spans of the batches that first and last counted into each window of meter versions $1 and subjects $2 that starts
-- in [$3, $4): at most $5 of them.
SELECT DISTINCT b.trace_id, b.span_id
FROM series AS s
JOIN usage_window AS w ON w.series_id = s.series_id
CROSS JOIN LATERAL (VALUES (w.first_offset), (w.last_offset)) AS o (record_offset)
CROSS JOIN LATERAL (
    SELECT c.trace_id, c.span_id FROM batch AS c
    WHERE c.partition = w.shard AND c.first_offset <= o.record_offset
    ORDER BY c.first_offset DESC
    LIMIT 1
) AS b
WHERE s.meter_version_id = ANY ($1::integer[]) AND s.subject = ANY ($2::text[])
    AND w.window_start >= $3 AND w.window_start < $4 AND b.span_id IS NOT NULL
LIMIT $5
