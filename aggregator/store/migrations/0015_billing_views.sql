-- migrate:up
-- What finance reads. The views lie in a schema of their own, which `metering migrate` makes: `billing` beside
-- `metering`, else the schema's name and `_billing`. They read with their owner's rights, so `billing_reader` needs
-- none on the tables. They are made here under other names first, for some are named as the table that they read.
SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

CREATE VIEW billing_rated_total AS
SELECT
    r.subscription, r.customer, r.period_start, r.period_end, r.version,
    NOT EXISTS (
        SELECT FROM rated_total AS later
        WHERE later.subscription = r.subscription AND later.period_start = r.period_start
            AND later.version > r.version
    ) AS is_newest,
    r.cut, r.currency, r.amount, r.unrounded_amount, r.difference, encode(r.digest, 'hex') AS digest,
    r.feed_position, r.document
FROM rated_total AS r;

COMMENT ON VIEW billing_rated_total IS 'A version of what a period of a subscription comes to. It never changes.';
COMMENT ON COLUMN billing_rated_total.subscription IS 'Name of the subscription.';
COMMENT ON COLUMN billing_rated_total.customer IS 'Who pays.';
COMMENT ON COLUMN billing_rated_total.period_start IS 'The period is [period_start, period_end).';
COMMENT ON COLUMN billing_rated_total.period_end IS 'The period is [period_start, period_end).';
COMMENT ON COLUMN billing_rated_total.version IS '1, 2, …';
COMMENT ON COLUMN billing_rated_total.is_newest IS 'Whether no later version of the period is there yet.';
COMMENT ON COLUMN billing_rated_total.cut IS 'Log time: the version holds exactly the adjustments that are older.';
COMMENT ON COLUMN billing_rated_total.currency IS 'Three capitals.';
COMMENT ON COLUMN billing_rated_total.amount IS 'What is to be paid, rounded as the plan says.';
COMMENT ON COLUMN billing_rated_total.unrounded_amount IS 'Exact: a decimal, or n/d in lowest terms.';
COMMENT ON COLUMN billing_rated_total.difference IS 'Of the amount, to the version before; null in the first.';
COMMENT ON COLUMN billing_rated_total.digest IS 'SHA-256 of the document''s bytes, in hexadecimal.';
COMMENT ON COLUMN billing_rated_total.feed_position IS 'Where the feed tells of it.';
COMMENT ON COLUMN billing_rated_total.document IS 'The whole rated document, byte by byte as it was digested.';

CREATE VIEW billing_rated_line AS
SELECT
    r.subscription, r.customer, r.period_start, r.version,
    (s.segment ->> 'start')::timestamptz AS segment_start, (s.segment ->> 'end')::timestamptz AS segment_end,
    s.segment ->> 'plan' AS plan, (s.segment ->> 'plan_version')::integer AS plan_version,
    l.charge, l.meter, l.kind, nullif(l.groups::jsonb, 'null') AS groups, l.is_other, l.quantity, l.events,
    l.included, l.billable, l.price, r.currency, l.unrounded_amount,
    CASE WHEN l.amount NOT LIKE '%/%' THEN l.amount::numeric END AS amount
FROM rated_total AS r
CROSS JOIN LATERAL json_array_elements(r.document -> 'segments') AS s (segment)
CROSS JOIN LATERAL (
    SELECT
        c.charge ->> 'charge' AS charge, c.charge ->> 'meter' AS meter, l.line ->> 'kind' AS kind,
        l.line -> 'group' AS groups, (l.line ->> 'is_other')::boolean AS is_other,
        l.line ->> 'quantity' AS quantity, (l.line ->> 'events')::bigint AS events,
        l.line ->> 'included' AS included, l.line ->> 'billable' AS billable, l.line ->> 'price' AS price,
        l.line ->> 'unrounded_amount' AS unrounded_amount, l.line ->> 'amount' AS amount
    FROM json_array_elements(s.segment -> 'charges') AS c (charge)
    CROSS JOIN LATERAL json_array_elements(c.charge -> 'lines') AS l (line)
    UNION ALL
    SELECT
        c.charge ->> 'charge', c.charge ->> 'meter', b.bound ->> 'kind', NULL, false, NULL, NULL, NULL, NULL, NULL,
        b.bound ->> 'unrounded_amount', b.bound ->> 'amount'
    FROM json_array_elements(s.segment -> 'charges') AS c (charge)
    CROSS JOIN LATERAL json_array_elements(c.charge -> 'bounds') AS b (bound)
    UNION ALL
    SELECT
        NULL, NULL, b.bound ->> 'kind', NULL, false, NULL, NULL, NULL, NULL, NULL, b.bound ->> 'unrounded_amount',
        b.bound ->> 'amount'
    FROM json_array_elements(s.segment -> 'bounds') AS b (bound)
    UNION ALL
    SELECT
        u.line ->> 'charge', u.line ->> 'meter', 'unpriced', u.line -> 'group', (u.line ->> 'is_other')::boolean,
        u.line ->> 'quantity', (u.line ->> 'events')::bigint, NULL, NULL, NULL, '0', '0'
    FROM json_array_elements(r.document -> 'unpriced') AS u (line)
    WHERE u.line ->> 'segment' = s.segment ->> 'start'
) AS l;

COMMENT ON VIEW billing_rated_line IS 'A line of a version: usage, a flat fee, what a minimum adds or a maximum takes.';
COMMENT ON COLUMN billing_rated_line.subscription IS 'Name of the subscription.';
COMMENT ON COLUMN billing_rated_line.customer IS 'Who pays.';
COMMENT ON COLUMN billing_rated_line.period_start IS 'When the period begins.';
COMMENT ON COLUMN billing_rated_line.version IS 'Of the rated total.';
COMMENT ON COLUMN billing_rated_line.segment_start IS 'The part of the period in which one version of the plan held.';
COMMENT ON COLUMN billing_rated_line.segment_end IS 'The segment is [segment_start, segment_end).';
COMMENT ON COLUMN billing_rated_line.plan IS 'Name of the price plan.';
COMMENT ON COLUMN billing_rated_line.plan_version IS 'The version of the plan.';
COMMENT ON COLUMN billing_rated_line.charge IS 'Of the plan; null: the minimum or maximum of the whole plan.';
COMMENT ON COLUMN billing_rated_line.meter IS 'What is counted; null: nothing is.';
COMMENT ON COLUMN billing_rated_line.kind IS 'usage, flat, minimum, maximum, or unpriced: usage that the plan has no price for.';
COMMENT ON COLUMN billing_rated_line.groups IS 'Values of the charge''s groups by name; null: not of one group.';
COMMENT ON COLUMN billing_rated_line.is_other IS 'Whether it holds what the meter''s cardinality limit turned away.';
COMMENT ON COLUMN billing_rated_line.quantity IS 'Exact: a decimal, or n/d in lowest terms.';
COMMENT ON COLUMN billing_rated_line.events IS 'Events behind it, less those withdrawn.';
COMMENT ON COLUMN billing_rated_line.included IS 'Of the quantity, what costs nothing at most.';
COMMENT ON COLUMN billing_rated_line.billable IS 'Of the quantity, what is priced.';
COMMENT ON COLUMN billing_rated_line.price IS 'Which price of the charge: default, when 1, when 2, …, other or flat.';
COMMENT ON COLUMN billing_rated_line.currency IS 'Three capitals.';
COMMENT ON COLUMN billing_rated_line.unrounded_amount IS 'Exact: a decimal, or n/d in lowest terms.';
COMMENT ON COLUMN billing_rated_line.amount IS 'Rounded if the plan rounds lines; null where no decimal is exact.';

CREATE VIEW billing_usage AS
SELECT
    v.meter, v.version AS meter_version, v.definition ->> 'aggregation' AS aggregation, s.subject,
    CASE WHEN NOT s.is_other THEN (
        SELECT coalesce(jsonb_object_agg(g.named ->> 'name', s.groups[g.place]), '{}')
        FROM jsonb_array_elements(v.definition -> 'group_by') WITH ORDINALITY AS g (named, place)
    ) END AS groups,
    s.is_other, w.window_start, w.window_start + (v.definition ->> 'window')::interval AS window_end,
    CASE WHEN w.window_start < f.final_before THEN 'final' ELSE 'open' END AS status,
    w.events, w.value, w.adjustment_events, w.on_time_value
FROM meter_version AS v
JOIN series AS s ON s.meter_version_id = v.meter_version_id
LEFT JOIN meter_watermark AS f ON f.meter_version_id = v.meter_version_id
CROSS JOIN LATERAL (
    SELECT
        p.window_start,
        sum(p.events)::bigint AS events,
        coalesce(sum(p.events) FILTER (WHERE p.kind IS NOT NULL), 0)::bigint AS adjustment_events,
        CASE v.definition ->> 'aggregation'
            WHEN 'count' THEN sum(p.events)
            WHEN 'sum' THEN sum(p.value)
            WHEN 'min' THEN min(p.value)
            WHEN 'max' THEN max(p.value)
            WHEN 'unique' THEN (
                SELECT count(DISTINCT m.member) FROM (
                    SELECT i.member FROM window_member AS i
                    WHERE i.series_id = s.series_id AND i.window_start = p.window_start
                    UNION ALL
                    SELECT a.member FROM adjustment AS a
                    WHERE a.series_id = s.series_id AND a.window_start = p.window_start
                ) AS m
            )
            -- A withdrawn point of a gauge may have been the newest: which one stands then, the API knows.
            ELSE CASE WHEN bool_or(p.kind = 'void') IS NOT TRUE THEN
                (array_agg(p.value ORDER BY p.value_time DESC, p.value_offset DESC, p.shard DESC))[1]
            END
        END AS value,
        CASE v.definition ->> 'aggregation'
            WHEN 'count' THEN sum(p.events) FILTER (WHERE p.kind IS NULL)
            WHEN 'sum' THEN sum(p.value) FILTER (WHERE p.kind IS NULL)
            WHEN 'min' THEN min(p.value) FILTER (WHERE p.kind IS NULL)
            WHEN 'max' THEN max(p.value) FILTER (WHERE p.kind IS NULL)
            WHEN 'unique' THEN (
                SELECT nullif(count(DISTINCT i.member), 0) FROM window_member AS i
                WHERE i.series_id = s.series_id AND i.window_start = p.window_start
            )
            ELSE (
                array_agg(p.value ORDER BY p.value_time DESC, p.value_offset DESC, p.shard DESC)
                FILTER (WHERE p.kind IS NULL)
            )[1]
        END AS on_time_value
    FROM (
        SELECT w.window_start, w.shard, w.events, w.value, w.value_time, w.value_offset, NULL AS kind
        FROM usage_window AS w WHERE w.series_id = s.series_id
        UNION ALL
        SELECT a.window_start, a.partition, a.events, a.value, a.event_time, a.record_offset, a.kind
        FROM adjustment AS a WHERE a.series_id = s.series_id
    ) AS p
    GROUP BY p.window_start
) AS w;

COMMENT ON VIEW billing_usage IS 'What one subject used in one window of a meter.';
COMMENT ON COLUMN billing_usage.meter IS 'What is counted.';
COMMENT ON COLUMN billing_usage.meter_version IS 'The version of the meter that counted it.';
COMMENT ON COLUMN billing_usage.aggregation IS 'sum, count, min, max, last, unique or gauge.';
COMMENT ON COLUMN billing_usage.subject IS 'Whose usage it is.';
COMMENT ON COLUMN billing_usage.groups IS 'Values of the meter''s groups by name; null: is_other.';
COMMENT ON COLUMN billing_usage.is_other IS 'Whether it holds what the meter''s cardinality limit turned away.';
COMMENT ON COLUMN billing_usage.window_start IS 'The window is [window_start, window_end), by event time.';
COMMENT ON COLUMN billing_usage.window_end IS 'The window is [window_start, window_end), by event time.';
COMMENT ON COLUMN billing_usage.status IS 'final: the window never changes again, what comes is an adjustment; else open.';
COMMENT ON COLUMN billing_usage.events IS 'Events with adjustments.';
COMMENT ON COLUMN billing_usage.value IS 'The value with adjustments; null: a point of a gauge was withdrawn.';
COMMENT ON COLUMN billing_usage.adjustment_events IS 'Of the events, those of adjustments, signed.';
COMMENT ON COLUMN billing_usage.on_time_value IS 'The value without adjustments; null: there were only adjustments.';

CREATE VIEW billing_adjustment AS
SELECT
    a.kind, v.meter, v.version AS meter_version, s.subject,
    CASE WHEN NOT s.is_other THEN (
        SELECT coalesce(jsonb_object_agg(g.named ->> 'name', s.groups[g.place]), '{}')
        FROM jsonb_array_elements(v.definition -> 'group_by') WITH ORDINALITY AS g (named, place)
    ) END AS groups,
    s.is_other, a.window_start, a.event_time, a.events, a.value, a.member, a.log_time, a.partition, a.record_offset
FROM adjustment AS a
JOIN series AS s ON s.series_id = a.series_id
JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id;

COMMENT ON VIEW billing_adjustment IS 'What stands beside a window: usage that came late, was withdrawn, or was corrected.';
COMMENT ON COLUMN billing_adjustment.kind IS 'late, void or correction.';
COMMENT ON COLUMN billing_adjustment.meter IS 'What is counted.';
COMMENT ON COLUMN billing_adjustment.meter_version IS 'The version of the meter.';
COMMENT ON COLUMN billing_adjustment.subject IS 'Whose usage it is.';
COMMENT ON COLUMN billing_adjustment.groups IS 'Values of the meter''s groups by name; null: is_other.';
COMMENT ON COLUMN billing_adjustment.is_other IS 'Whether it holds what the meter''s cardinality limit turned away.';
COMMENT ON COLUMN billing_adjustment.window_start IS 'The window that it belongs to.';
COMMENT ON COLUMN billing_adjustment.event_time IS 'When that was used.';
COMMENT ON COLUMN billing_adjustment.events IS 'Signed: 1 came late, -1 was withdrawn.';
COMMENT ON COLUMN billing_adjustment.value IS 'What it adds to a sum, signed; else the event''s value.';
COMMENT ON COLUMN billing_adjustment.member IS 'Of a unique meter.';
COMMENT ON COLUMN billing_adjustment.log_time IS 'Clock of the log: a version with a later cut holds it.';
COMMENT ON COLUMN billing_adjustment.partition IS 'Where the log has it; -1: a correction, which it does not have.';
COMMENT ON COLUMN billing_adjustment.record_offset IS 'Where the log has it.';

CREATE VIEW billing_feed AS
SELECT f.position, f.kind, f.id, f.customer, f.subscription, f.payload FROM feed AS f;

COMMENT ON VIEW billing_feed IS 'An entry of the feed, in the order in which they became visible, without a gap.';
COMMENT ON COLUMN billing_feed.position IS '1, 2, …: remember the last one that you have booked.';
COMMENT ON COLUMN billing_feed.kind IS 'rated_total or threshold.';
COMMENT ON COLUMN billing_feed.id IS 'The same whenever it is told.';
COMMENT ON COLUMN billing_feed.customer IS 'Who pays.';
COMMENT ON COLUMN billing_feed.subscription IS 'Name of the subscription.';
COMMENT ON COLUMN billing_feed.payload IS 'What there is to tell, as over HTTP.';

CREATE VIEW billing_subscription AS
SELECT
    v.subscription, v.version, v.customer, v.plan, nullif(v.effective_from, '-infinity') AS effective_from, v.retired,
    v.definition
FROM subscription_version AS v;

COMMENT ON VIEW billing_subscription IS 'A version of who pays for whose usage, on which plan.';
COMMENT ON COLUMN billing_subscription.subscription IS 'Name of the subscription.';
COMMENT ON COLUMN billing_subscription.version IS 'At any time the greatest holds of those whose effective_from has come.';
COMMENT ON COLUMN billing_subscription.customer IS 'Who pays.';
COMMENT ON COLUMN billing_subscription.plan IS 'Name of the price plan.';
COMMENT ON COLUMN billing_subscription.effective_from IS 'Event time from which it holds; null: from the beginning.';
COMMENT ON COLUMN billing_subscription.retired IS 'Whether the subscription ends there.';
COMMENT ON COLUMN billing_subscription.definition IS 'All of it: subjects, period, zone, thresholds.';

CREATE VIEW billing_finality AS
SELECT v.meter, v.version AS meter_version, w.final_before, c.log_time AS closed_through
FROM meter_version AS v
LEFT JOIN meter_watermark AS w ON w.meter_version_id = v.meter_version_id
LEFT JOIN closing AS c ON true;

COMMENT ON VIEW billing_finality IS 'Until when the windows of a version of a meter are final.';
COMMENT ON COLUMN billing_finality.meter IS 'What is counted.';
COMMENT ON COLUMN billing_finality.meter_version IS 'The version of the meter.';
COMMENT ON COLUMN billing_finality.final_before IS 'Windows that begin before are final; null: none is yet.';
COMMENT ON COLUMN billing_finality.closed_through IS 'Clock of the log that every partition has reached; null: not yet.';

DO $$
DECLARE
    billing text := CASE current_schema() WHEN 'metering' THEN 'billing' ELSE current_schema() || '_billing' END;
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['rated_total', 'rated_line', 'usage', 'adjustment', 'feed', 'subscription', 'finality']
    LOOP
        EXECUTE format('ALTER VIEW %I SET SCHEMA %I', 'billing_' || name, billing);
        EXECUTE format('ALTER VIEW %I.%I RENAME TO %I', billing, 'billing_' || name, name);
        EXECUTE format('GRANT SELECT ON %I.%I TO billing_reader, metering_reader', billing, name);
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO billing_reader, metering_reader', billing);
END $$;

-- migrate:down
DO $$
DECLARE
    billing text := CASE current_schema() WHEN 'metering' THEN 'billing' ELSE current_schema() || '_billing' END;
    name text;
BEGIN
    EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM billing_reader, metering_reader', billing);
    FOREACH name IN ARRAY ARRAY['finality', 'subscription', 'feed', 'adjustment', 'usage', 'rated_line', 'rated_total']
    LOOP
        EXECUTE format('DROP VIEW %I.%I', billing, name);
    END LOOP;
END $$;
