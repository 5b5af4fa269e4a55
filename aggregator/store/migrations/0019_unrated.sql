-- migrate:up
-- Whose usage is paid for when, and what is left of it. Who asks for one subject, or one subscription, has the answer
-- by the indexes of these alone.
SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- The times in which a subscription is rated on one version of its own and one of its plan, as
-- `aggregator.rating.terms.stretches` has them.
CREATE VIEW subscription_stretch AS
SELECT s.subscription, s.customer, s.definition -> 'subjects' AS subjects, p.definition -> 'charges' AS charges, d.during
FROM subscription_version AS s
CROSS JOIN LATERAL (
    -- Versions that came later replace it from where the first of them begins.
    SELECT min(l.effective_from) AS ends FROM subscription_version AS l
    WHERE l.subscription = s.subscription AND l.version > s.version
) AS later
CROSS JOIN LATERAL (
    SELECT
        (n.definition ->> 'start')::timestamptz AS starts,
        least((n.definition ->> 'end')::timestamptz, CASE WHEN n.retired THEN n.effective_from END) AS ends
    FROM subscription_version AS n
    WHERE n.subscription = s.subscription
    ORDER BY n.version DESC
    LIMIT 1
) AS life
JOIN plan_version AS p ON p.plan = s.plan
CROSS JOIN LATERAL (
    SELECT min(l.effective_from) AS ends FROM plan_version AS l WHERE l.plan = p.plan AND l.version > p.version
) AS later_plan
CROSS JOIN LATERAL (
    SELECT
        greatest(life.starts, s.effective_from, p.effective_from) AS starts,
        least(life.ends, later.ends, later_plan.ends) AS ends
) AS cut
CROSS JOIN LATERAL (
    SELECT CASE WHEN cut.ends IS NULL OR cut.starts < cut.ends THEN tstzrange(cut.starts, cut.ends) END AS during
) AS d
WHERE NOT s.retired AND NOT p.retired AND d.during IS NOT NULL;

-- The times in which nobody pays for a series, and why: the times that are left of all time.
CREATE VIEW unpaid AS
SELECT s.series_id, s.meter_version_id, s.subject, s.is_other, s.groups, u.reason, u.during
FROM series AS s
JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
CROSS JOIN LATERAL (
    SELECT
        coalesce(range_agg(t.during), '{}') AS subscribed,
        coalesce(range_agg(t.during) FILTER (
            WHERE t.charges @> jsonb_build_array(jsonb_build_object('meter', v.meter))
        ), '{}') AS charged,
        coalesce(range_agg(t.during) FILTER (WHERE EXISTS (
            SELECT FROM jsonb_array_elements(t.charges) AS c (charge)
            WHERE c.charge ->> 'meter' = v.meter AND CASE
                -- As `aggregator.rating.pricing.price_of` finds one.
                WHEN s.is_other AND jsonb_array_length(c.charge -> 'group_by') > 0 THEN c.charge ? 'other'
                ELSE c.charge ? 'price' OR EXISTS (
                    SELECT FROM jsonb_array_elements(c.charge -> 'prices') AS p (price)
                    WHERE NOT EXISTS (
                        SELECT FROM jsonb_each(p.price -> 'when') AS w (name, texts)
                        WHERE (
                            SELECT w.texts ? s.groups[g.place]
                            FROM jsonb_array_elements(v.definition -> 'group_by') WITH ORDINALITY AS g (named, place)
                            WHERE g.named ->> 'name' = w.name
                        ) IS NOT TRUE
                    )
                )
            END
        )), '{}') AS priced
    FROM subscription_subject AS n
    JOIN subscription_stretch AS t ON t.subscription = n.subscription AND t.subjects ? n.subject
    WHERE n.subject = s.subject
) AS c
CROSS JOIN LATERAL (
    SELECT CASE WHEN isempty(c.subscribed) THEN 'no_subscription' ELSE 'outside_subscription' END, r.during
    FROM unnest('{(,)}'::tstzmultirange - c.subscribed) AS r (during)
    UNION ALL
    SELECT 'no_charge', r.during FROM unnest(c.subscribed - c.charged) AS r (during)
    UNION ALL
    SELECT 'no_price', r.during FROM unnest(c.charged - c.priced) AS r (during)
) AS u (reason, during);

GRANT SELECT ON subscription_stretch, unpaid TO metering_worker, metering_reader;

CREATE VIEW billing_unrated_usage AS
SELECT
    v.meter, v.version AS meter_version, v.definition ->> 'aggregation' AS aggregation, u.subject,
    CASE WHEN NOT u.is_other THEN (
        SELECT coalesce(jsonb_object_agg(g.named ->> 'name', u.groups[g.place]), '{}')
        FROM jsonb_array_elements(v.definition -> 'group_by') WITH ORDINALITY AS g (named, place)
    ) END AS groups,
    u.is_other, u.reason, d.day, d.first_window, d.last_window, d.events,
    CASE v.definition ->> 'aggregation'
        WHEN 'count' THEN d.events
        WHEN 'sum' THEN d.total
        WHEN 'min' THEN d.least
        WHEN 'max' THEN d.greatest
    END AS value
FROM meter_version AS v
JOIN unpaid AS u ON u.meter_version_id = v.meter_version_id
CROSS JOIN LATERAL (
    SELECT
        (p.window_start AT TIME ZONE 'UTC')::date AS day, min(p.window_start) AS first_window,
        max(p.window_start) AS last_window, sum(p.events)::bigint AS events, sum(p.value) AS total,
        min(p.value) AS least, max(p.value) AS greatest
    FROM (
        SELECT w.window_start, w.events, w.value FROM usage_window AS w
        WHERE w.series_id = u.series_id AND w.window_start >= coalesce(lower(u.during), '-infinity')
            AND w.window_start < coalesce(upper(u.during), 'infinity')
        UNION ALL
        SELECT a.window_start, a.events, a.value FROM adjustment AS a
        WHERE a.series_id = u.series_id AND a.window_start >= coalesce(lower(u.during), '-infinity')
            AND a.window_start < coalesce(upper(u.during), 'infinity')
    ) AS p
    GROUP BY 1
) AS d
WHERE d.events <> 0;

COMMENT ON VIEW billing_unrated_usage IS 'Usage of one series and day in one stretch of time in which nobody pays for it.';
COMMENT ON COLUMN billing_unrated_usage.meter IS 'What is counted.';
COMMENT ON COLUMN billing_unrated_usage.meter_version IS 'The version of the meter that counted it.';
COMMENT ON COLUMN billing_unrated_usage.aggregation IS 'sum, count, min, max, last, unique or gauge.';
COMMENT ON COLUMN billing_unrated_usage.subject IS 'Whose usage it is.';
COMMENT ON COLUMN billing_unrated_usage.groups IS 'Values of the meter''s groups by name; null: is_other.';
COMMENT ON COLUMN billing_unrated_usage.is_other IS 'Whether it holds what the meter''s cardinality limit turned away.';
COMMENT ON COLUMN billing_unrated_usage.reason IS 'no_subscription, outside_subscription, no_charge or no_price.';
COMMENT ON COLUMN billing_unrated_usage.day IS 'The day, UTC, in which the windows begin.';
COMMENT ON COLUMN billing_unrated_usage.first_window IS 'When the first of its windows begins.';
COMMENT ON COLUMN billing_unrated_usage.last_window IS 'When the last of its windows begins.';
COMMENT ON COLUMN billing_unrated_usage.events IS 'Events with adjustments.';
COMMENT ON COLUMN billing_unrated_usage.value IS 'The value with adjustments; null where days do not have one: last, unique, gauge.';

DO $$
DECLARE
    billing text := CASE current_schema() WHEN 'metering' THEN 'billing' ELSE current_schema() || '_billing' END;
BEGIN
    EXECUTE format('ALTER VIEW billing_unrated_usage SET SCHEMA %I', billing);
    EXECUTE format('ALTER VIEW %I.billing_unrated_usage RENAME TO unrated_usage', billing);
    EXECUTE format('GRANT SELECT ON %I.unrated_usage TO billing_reader, metering_reader', billing);
END $$;

-- migrate:down
DO $$
DECLARE
    billing text := CASE current_schema() WHEN 'metering' THEN 'billing' ELSE current_schema() || '_billing' END;
BEGIN
    EXECUTE format('DROP VIEW %I.unrated_usage', billing);
END $$;
DROP VIEW unpaid, subscription_stretch;
