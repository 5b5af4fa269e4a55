-- As in doctor.sql: each statement returns the rows that break one rule of rated totals and their feed.

-- name: doctor_feed_positions
SELECT p.expected AS expected_position, p.position AS found_position
FROM (
    SELECT f.position, lag(f.position, 1, 0::bigint) OVER (ORDER BY f.position) + 1 AS expected FROM feed AS f
    UNION ALL
    SELECT h.position, (SELECT coalesce(max(f.position), 0) FROM feed AS f) FROM feed_head AS h
) AS p
WHERE p.position <> p.expected
ORDER BY p.position

-- name: doctor_feed_entries
-- Positions are unique on both sides, so whatever finds its like here is told once.
SELECT
    coalesce(f.position, t.position) AS position, f.kind AS told, f.id AS told_id, t.kind AS written, t.id AS written_id
FROM (
    SELECT
        f.position, f.kind, f.id, f.subscription, f.customer,
        (f.payload ->> 'id', f.payload ->> 'customer') IS NOT DISTINCT FROM (f.id, f.customer) AS agrees,
        coalesce(f.payload ->> 'digest', '') AS digest
    FROM feed AS f
) AS f
FULL JOIN (
    SELECT
        r.feed_position AS position, 'rated_total' AS kind,
        concat_ws('/', r.subscription, left(to_jsonb(r.period_start) #>> '{}', -6) || 'Z', r.version) AS id,
        r.subscription, r.customer, encode(r.digest, 'hex') AS digest
    FROM rated_total AS r
    UNION ALL
    SELECT
        c.feed_position, 'threshold',
        concat_ws('/', c.subscription, left(to_jsonb(c.period_start) #>> '{}', -6) || 'Z', c.threshold),
        c.subscription, s.customer, ''
    FROM threshold_crossing AS c
    LEFT JOIN (SELECT DISTINCT v.subscription, v.customer FROM subscription_version AS v) AS s
        ON s.subscription = c.subscription
) AS t
    ON t.position = f.position AND t.kind = f.kind AND t.id = f.id AND t.subscription = f.subscription
    AND t.customer = f.customer AND t.digest = f.digest AND f.agrees
WHERE f.position IS NULL OR t.position IS NULL
ORDER BY 1, f.position

-- name: doctor_rated_versions
-- Only what is closed is rated.
SELECT
    v.subscription, v.period_start, v.version, v.version_before, v.amount, v.amount_before, v.difference, v.cut,
    v.cut_before
FROM (
    SELECT
        r.subscription, r.period_start, r.version, r.amount, r.difference, r.period_end, r.cut,
        (r.customer, r.currency, r.period_end) AS fixed,
        lag(r.version, 1, 0) OVER versions AS version_before, lag(r.amount) OVER versions AS amount_before,
        lag(r.cut) OVER versions AS cut_before,
        first_value((r.customer, r.currency, r.period_end)) OVER versions AS fixed_before
    FROM rated_total AS r
    WINDOW versions AS (PARTITION BY r.subscription, r.period_start ORDER BY r.version)
) AS v
WHERE v.version <> v.version_before + 1
    OR v.amount - v.amount_before IS DISTINCT FROM v.difference
    OR v.cut <= v.cut_before OR v.cut < v.period_end OR v.fixed <> v.fixed_before
    OR NOT EXISTS (SELECT FROM closing AS c WHERE c.log_time >= v.cut)
ORDER BY v.subscription, v.period_start, v.version

-- name: doctor_rated_differences
-- What the version before has of each line, and the difference, less what the version has: nothing must be left. Ratios
-- are taken to 60 places, as many as any decimal has, so that each may be off by less than one of the last.
WITH pair AS MATERIALIZED (
    SELECT r.subscription, r.period_start, r.version, r.document::jsonb AS document, b.document::jsonb AS before
    FROM rated_total AS r
    JOIN rated_total AS b
        ON b.subscription = r.subscription AND b.period_start = r.period_start AND b.version = r.version - 1
)
SELECT
    d.subscription, d.period_start, d.version, d.segment, d.charge, d.kind, d.line_group AS groups,
    round(sum(d.sign * q.quantity) / 1e60, 60) AS quantity_left, round(sum(d.sign * q.amount) / 1e60, 60) AS amount_left
FROM (
    SELECT
        p.subscription, p.period_start, p.version, v.sign, l.segment, l.charge, l.kind, l.line_group, l.quantity, l.amount
    FROM pair AS p
    CROSS JOIN LATERAL (VALUES (p.before, 1), (p.document, -1)) AS v (document, sign)
    CROSS JOIN LATERAL jsonb_array_elements(v.document -> 'segments') AS s (part)
    CROSS JOIN LATERAL (
        SELECT
            s.part ->> 'start' AS segment, c.part ->> 'charge' AS charge, l.part ->> 'kind' AS kind,
            l.part -> 'group' AS line_group, l.part ->> 'quantity' AS quantity, l.part ->> 'amount' AS amount
        FROM jsonb_array_elements(s.part -> 'charges') AS c (part)
        CROSS JOIN LATERAL jsonb_array_elements(c.part -> 'lines') AS l (part)
        UNION ALL
        SELECT s.part ->> 'start', c.part ->> 'charge', b.part ->> 'kind', '{}', '0', b.part ->> 'amount'
        FROM jsonb_array_elements(s.part -> 'charges') AS c (part)
        CROSS JOIN LATERAL jsonb_array_elements(c.part -> 'bounds') AS b (part)
        UNION ALL
        SELECT s.part ->> 'start', NULL, b.part ->> 'kind', '{}', '0', b.part ->> 'amount'
        FROM jsonb_array_elements(s.part -> 'bounds') AS b (part)
    ) AS l
    UNION ALL
    SELECT
        p.subscription, p.period_start, p.version, v.sign, u.part ->> 'segment', u.part ->> 'charge', 'unpriced',
        u.part -> 'group', u.part ->> 'quantity', '0'
    FROM pair AS p
    CROSS JOIN LATERAL (VALUES (p.before, 1), (p.document, -1)) AS v (document, sign)
    CROSS JOIN LATERAL jsonb_array_elements(v.document -> 'unpriced') AS u (part)
    UNION ALL
    SELECT
        p.subscription, p.period_start, p.version, 1, d.part ->> 'segment', d.part ->> 'charge', d.part ->> 'kind',
        d.part -> 'group', d.part ->> 'quantity', d.part ->> 'amount'
    FROM pair AS p
    CROSS JOIN LATERAL jsonb_array_elements(p.document -> 'difference' -> 'lines') AS d (part)
) AS d
CROSS JOIN LATERAL (
    SELECT
        div(split_part(d.quantity, '/', 1)::numeric * 1e60, split_part(d.quantity || '/1', '/', 2)::numeric) AS quantity,
        div(split_part(d.amount, '/', 1)::numeric * 1e60, split_part(d.amount || '/1', '/', 2)::numeric) AS amount
) AS q
GROUP BY d.subscription, d.period_start, d.version, d.segment, d.charge, d.kind, d.line_group
HAVING abs(sum(d.sign * q.quantity)) >= count(*) OR abs(sum(d.sign * q.amount)) >= count(*)
ORDER BY 1, 2, 3, 4, 5, 6, 7

-- name: doctor_rated_documents
-- The digest holds for the document alone, so what stands beside it must be what it says.
SELECT r.subscription, r.period_start, r.version
FROM rated_total AS r
WHERE (
    r.document ->> 'subscription', r.document ->> 'customer', r.document ->> 'version', r.document ->> 'currency',
    r.document ->> 'amount', r.document ->> 'unrounded_amount', r.document -> 'difference' ->> 'amount',
    r.document ->> 'cut', r.document -> 'period' ->> 'start', r.document -> 'period' ->> 'end'
) IS DISTINCT FROM (
    r.subscription, r.customer, r.version::text, r.currency,
    r.amount::text, r.unrounded_amount, r.difference::text,
    left(to_jsonb(r.cut) #>> '{}', -6) || 'Z', left(to_jsonb(r.period_start) #>> '{}', -6) || 'Z',
    left(to_jsonb(r.period_end) #>> '{}', -6) || 'Z'
)
ORDER BY r.subscription, r.period_start, r.version

-- name: doctor_rated_sums
-- Lines and bounds re-added to their charge, charges and bounds to their segment, segments to the total; ratios as in
-- `rated_differences`. Where the plan rounds totals, a segment's amount may be less than a place off.
SELECT
    p.subscription, p.period_start, p.version, p.segment, p.charge,
    round(sum(p.sign * q.unrounded) / 1e60, 60) AS unrounded_left, round(sum(p.sign * q.amount) / 1e60, 60) AS amount_left
FROM (
    SELECT
        r.subscription, r.period_start, r.version, NULL AS segment, NULL AS charge, 0 AS place, -1 AS sign,
        r.document ->> 'unrounded_amount' AS unrounded, r.document ->> 'amount' AS amount
    FROM rated_total AS r
    UNION ALL
    SELECT r.subscription, r.period_start, r.version, l.segment, l.charge, l.place, l.sign, l.unrounded, l.amount
    FROM rated_total AS r
    CROSS JOIN LATERAL jsonb_array_elements(r.document::jsonb -> 'segments') AS s (part)
    LEFT JOIN plan_version AS v
        ON v.plan = s.part ->> 'plan' AND v.version::text = s.part ->> 'plan_version'
        AND v.definition -> 'rounding' ->> 'at' = 'total'
    CROSS JOIN LATERAL (
        SELECT
            k.segment, NULL AS charge, k.place, k.sign, s.part ->> 'unrounded_amount' AS unrounded,
            s.part ->> 'amount' AS amount
        FROM (
            VALUES
                (NULL, 0, 1),
                (
                    s.part ->> 'start',
                    coalesce(1e60 / 10::numeric ^ (v.definition -> 'rounding' ->> 'places')::integer, 0), -1
                )
        ) AS k (segment, place, sign)
        UNION ALL
        SELECT s.part ->> 'start', NULL, 0, 1, b.part ->> 'unrounded_amount', b.part ->> 'amount'
        FROM jsonb_array_elements(s.part -> 'bounds') AS b (part)
        UNION ALL
        SELECT s.part ->> 'start', k.charge, 0, k.sign, c.part ->> 'unrounded_amount', c.part ->> 'amount'
        FROM jsonb_array_elements(s.part -> 'charges') AS c (part)
        CROSS JOIN LATERAL (VALUES (NULL, 1), (c.part ->> 'charge', -1)) AS k (charge, sign)
        UNION ALL
        SELECT s.part ->> 'start', c.part ->> 'charge', 0, 1, l.part ->> 'unrounded_amount', l.part ->> 'amount'
        FROM jsonb_array_elements(s.part -> 'charges') AS c (part)
        CROSS JOIN LATERAL (
            SELECT l.part FROM jsonb_array_elements(c.part -> 'lines') AS l (part)
            UNION ALL
            SELECT b.part FROM jsonb_array_elements(c.part -> 'bounds') AS b (part)
        ) AS l
    ) AS l
) AS p
CROSS JOIN LATERAL (
    SELECT
        div(split_part(p.unrounded, '/', 1)::numeric * 1e60, split_part(p.unrounded || '/1', '/', 2)::numeric) AS unrounded,
        div(split_part(p.amount, '/', 1)::numeric * 1e60, split_part(p.amount || '/1', '/', 2)::numeric) AS amount
) AS q
GROUP BY p.subscription, p.period_start, p.version, p.segment, p.charge
HAVING abs(sum(p.sign * q.unrounded)) >= count(*) OR abs(sum(p.sign * q.amount)) >= count(*) + sum(p.place)
ORDER BY 1, 2, 3, 4, 5

-- name: doctor_rated_periods
SELECT p.subscription, p.period_start, p.end_before AS rated_through, p.next_period_start
FROM (
    SELECT
        r.subscription, r.period_start, NULL::timestamptz AS next_period_start,
        lag(r.period_end) OVER (PARTITION BY r.subscription ORDER BY r.period_start) AS end_before
    FROM rated_total AS r
    WHERE r.version = 1
) AS p
WHERE p.end_before > p.period_start
UNION ALL
SELECT r.subscription, NULL, r.rated_through, s.next_period_start
FROM (
    SELECT r.subscription, max(r.period_end) AS rated_through FROM rated_total AS r GROUP BY r.subscription
) AS r
LEFT JOIN subscription_rating AS s ON s.subscription = r.subscription
WHERE s.next_period_start IS DISTINCT FROM r.rated_through
ORDER BY 1, 2

-- name: doctor_rated_terms
SELECT DISTINCT n.kind, n.id AS version_id
FROM rated_total AS r
CROSS JOIN LATERAL (
    SELECT 'subscription' AS kind, i.id FROM unnest(r.subscription_version_ids) AS i (id)
    WHERE NOT EXISTS (SELECT FROM subscription_version AS v WHERE v.subscription_version_id = i.id)
    UNION ALL
    SELECT 'plan', i.id FROM unnest(r.plan_version_ids) AS i (id)
    WHERE NOT EXISTS (SELECT FROM plan_version AS v WHERE v.plan_version_id = i.id)
    UNION ALL
    SELECT 'meter', i.id FROM unnest(r.meter_version_ids) AS i (id)
    WHERE NOT EXISTS (SELECT FROM meter_version AS v WHERE v.meter_version_id = i.id)
) AS n
ORDER BY 1, 2

-- name: doctor_terms_known
-- What was promoted is known to cuts after its log time alone, and to all of these.
SELECT
    r.subscription, r.period_start, r.version, s.part ->> 'start' AS segment, s.part ->> 'plan' AS plan,
    (s.part ->> 'plan_version')::integer AS plan_version, p.version AS plan_held,
    (s.part ->> 'subscription_version')::integer AS subscription_version, v.version AS subscription_held
FROM rated_total AS r
CROSS JOIN LATERAL jsonb_array_elements(r.document::jsonb -> 'segments') AS s (part)
CROSS JOIN LATERAL (
    SELECT max(h.version) AS version FROM subscription_version AS h
    WHERE h.subscription = r.subscription AND h.effective_from <= (s.part ->> 'start')::timestamptz
        AND (h.known_from IS NULL OR h.known_from < r.cut)
) AS v
CROSS JOIN LATERAL (
    SELECT max(h.version) AS version FROM plan_version AS h
    WHERE h.plan = s.part ->> 'plan' AND h.effective_from <= (s.part ->> 'start')::timestamptz
        AND (h.known_from IS NULL OR h.known_from < r.cut)
) AS p
WHERE (p.version, v.version)
    IS DISTINCT FROM ((s.part ->> 'plan_version')::integer, (s.part ->> 'subscription_version')::integer)
ORDER BY 1, 2, 3, 4
