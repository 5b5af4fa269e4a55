-- migrate:up
-- What a promotion says of a window of a `min`, `max`, `last`, `unique` or `gauge` meter takes the place of what was
-- known of it, for nothing signed could lower a maximum. It is the window's least, greatest or last value, or a row for
-- each of its members or points; or a row without any of these, if the window comes to nothing. So of a window that has
-- such rows those of the newest promotion stand, and beside them what came late or was withdrawn from `replaces_before`
-- on; its own row, members and points, older corrections and what lies before that offset do not. `events` are signed
-- as ever, and summed over all rows.
-- The `batch` of corrections is their promotion: its first number.
ALTER TABLE adjustment
    ADD COLUMN value_offset bigint, -- where in the log a corrected `last` value or point of a gauge is
    ADD COLUMN replaces_before bigint,
    ADD CONSTRAINT only_corrections_replace
        CHECK (kind = 'correction' OR (value_offset IS NULL AND replaces_before IS NULL));
CREATE INDEX adjustment_replacing ON adjustment (series_id, window_start) WHERE replaces_before IS NOT NULL;

DO $$
DECLARE
    billing text := CASE current_schema() WHEN 'metering' THEN 'billing' ELSE current_schema() || '_billing' END;
BEGIN
    EXECUTE format('CREATE OR REPLACE VIEW %I.usage AS ', billing) || $view$
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
            WHEN 'min' THEN min(p.value) FILTER (WHERE p.stands)
            WHEN 'max' THEN max(p.value) FILTER (WHERE p.stands)
            WHEN 'unique' THEN (
                SELECT count(DISTINCT m.member) FROM (
                    SELECT i.member FROM window_member AS i
                    WHERE i.series_id = s.series_id AND i.window_start = p.window_start AND NOT EXISTS (
                        SELECT FROM adjustment AS r
                        WHERE r.series_id = i.series_id AND r.window_start = i.window_start
                            AND r.replaces_before IS NOT NULL
                    )
                    UNION ALL
                    SELECT a.member FROM adjustment AS a
                    WHERE a.series_id = s.series_id AND a.window_start = p.window_start AND NOT EXISTS (
                        SELECT FROM adjustment AS r
                        WHERE r.series_id = a.series_id AND r.window_start = a.window_start
                            AND r.replaces_before IS NOT NULL AND a.record_offset
                            < CASE a.kind WHEN 'correction' THEN r.batch_first_offset ELSE r.replaces_before END
                    )
                ) AS m
            )
            -- A withdrawn point of a gauge may have been the newest: which one stands then, the API knows.
            ELSE CASE WHEN bool_or(p.kind = 'void' AND p.stands) IS NOT TRUE THEN (
                array_agg(p.value ORDER BY p.value_time DESC, p.value_offset DESC, p.shard DESC)
                FILTER (WHERE p.stands AND p.value IS NOT NULL)
            )[1] END
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
        SELECT
            w.window_start, w.shard, w.events, w.value, w.value_time, w.value_offset, NULL AS kind,
            v.definition ->> 'aggregation' IN ('sum', 'count') OR NOT EXISTS (
                SELECT FROM adjustment AS r
                WHERE r.series_id = w.series_id AND r.window_start = w.window_start AND r.replaces_before IS NOT NULL
            ) AS stands
        FROM usage_window AS w WHERE w.series_id = s.series_id
        UNION ALL
        SELECT
            a.window_start, a.partition, a.events, a.value, a.event_time, coalesce(a.value_offset, a.record_offset),
            a.kind,
            NOT EXISTS (
                SELECT FROM adjustment AS r
                WHERE r.series_id = a.series_id AND r.window_start = a.window_start AND r.replaces_before IS NOT NULL
                    AND a.record_offset
                    < CASE a.kind WHEN 'correction' THEN r.batch_first_offset ELSE r.replaces_before END
            )
        FROM adjustment AS a WHERE a.series_id = s.series_id
    ) AS p
    GROUP BY p.window_start
) AS w
$view$;
    EXECUTE format('CREATE OR REPLACE VIEW %I.unrated_usage AS ', billing) || $view$
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
        min(p.value) FILTER (WHERE p.stands) AS least, max(p.value) FILTER (WHERE p.stands) AS greatest
    FROM (
        SELECT
            w.window_start, w.events, w.value,
            v.definition ->> 'aggregation' NOT IN ('min', 'max') OR NOT EXISTS (
                SELECT FROM adjustment AS r
                WHERE r.series_id = w.series_id AND r.window_start = w.window_start AND r.replaces_before IS NOT NULL
            ) AS stands
        FROM usage_window AS w
        WHERE w.series_id = u.series_id AND w.window_start >= coalesce(lower(u.during), '-infinity')
            AND w.window_start < coalesce(upper(u.during), 'infinity')
        UNION ALL
        SELECT
            a.window_start, a.events, a.value,
            NOT EXISTS (
                SELECT FROM adjustment AS r
                WHERE r.series_id = a.series_id AND r.window_start = a.window_start AND r.replaces_before IS NOT NULL
                    AND a.record_offset
                    < CASE a.kind WHEN 'correction' THEN r.batch_first_offset ELSE r.replaces_before END
            )
        FROM adjustment AS a
        WHERE a.series_id = u.series_id AND a.window_start >= coalesce(lower(u.during), '-infinity')
            AND a.window_start < coalesce(upper(u.during), 'infinity')
    ) AS p
    GROUP BY 1
) AS d
WHERE d.events <> 0
$view$;
    EXECUTE format('CREATE OR REPLACE VIEW %I.adjustment AS ', billing) || $view$
SELECT
    a.kind, v.meter, v.version AS meter_version, s.subject,
    CASE WHEN NOT s.is_other THEN (
        SELECT coalesce(jsonb_object_agg(g.named ->> 'name', s.groups[g.place]), '{}')
        FROM jsonb_array_elements(v.definition -> 'group_by') WITH ORDINALITY AS g (named, place)
    ) END AS groups,
    s.is_other, a.window_start, a.event_time, a.events, a.value, a.member, a.log_time, a.partition, a.record_offset,
    a.replaces_before
FROM adjustment AS a
JOIN series AS s ON s.series_id = a.series_id
JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
$view$;
    EXECUTE format(
        'COMMENT ON COLUMN %I.adjustment.value IS %L', billing,
        'What it adds to a sum, signed; else the event''s value, or what a correction says.'
    );
    EXECUTE format(
        'COMMENT ON COLUMN %I.adjustment.events IS %L', billing,
        'Signed: 1 came late, -1 was withdrawn, any number a correction adds or takes.'
    );
    EXECUTE format(
        'COMMENT ON COLUMN %I.adjustment.replaces_before IS %L', billing,
        'Not null: the correction stands in the place of the window and of rows whose record_offset is before this.'
    );
    EXECUTE format(
        'COMMENT ON COLUMN %I.usage.value IS %L', billing,
        'The value with adjustments; null: a point of a gauge was withdrawn, or a correction left nothing.'
    );
END $$;

-- migrate:down
DO $$
DECLARE
    billing text := CASE current_schema() WHEN 'metering' THEN 'billing' ELSE current_schema() || '_billing' END;
BEGIN
    EXECUTE format('CREATE OR REPLACE VIEW %I.usage AS ', billing) || $view$
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
) AS w
$view$;
    EXECUTE format('CREATE OR REPLACE VIEW %I.unrated_usage AS ', billing) || $view$
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
WHERE d.events <> 0
$view$;
    EXECUTE format('DROP VIEW %I.adjustment', billing);
    EXECUTE format('CREATE VIEW %I.adjustment AS ', billing) || $view$
SELECT
    a.kind, v.meter, v.version AS meter_version, s.subject,
    CASE WHEN NOT s.is_other THEN (
        SELECT coalesce(jsonb_object_agg(g.named ->> 'name', s.groups[g.place]), '{}')
        FROM jsonb_array_elements(v.definition -> 'group_by') WITH ORDINALITY AS g (named, place)
    ) END AS groups,
    s.is_other, a.window_start, a.event_time, a.events, a.value, a.member, a.log_time, a.partition, a.record_offset
FROM adjustment AS a
JOIN series AS s ON s.series_id = a.series_id
JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
$view$;
    EXECUTE format('GRANT SELECT ON %I.adjustment TO billing_reader, metering_reader', billing);
    EXECUTE format(
        'COMMENT ON VIEW %I.adjustment IS %L', billing,
        'What stands beside a window: usage that came late, was withdrawn, or was corrected.'
    );
    EXECUTE format('COMMENT ON COLUMN %I.adjustment.kind IS %L', billing, 'late, void or correction.');
    EXECUTE format('COMMENT ON COLUMN %I.adjustment.meter IS %L', billing, 'What is counted.');
    EXECUTE format('COMMENT ON COLUMN %I.adjustment.meter_version IS %L', billing, 'The version of the meter.');
    EXECUTE format('COMMENT ON COLUMN %I.adjustment.subject IS %L', billing, 'Whose usage it is.');
    EXECUTE format(
        'COMMENT ON COLUMN %I.adjustment.groups IS %L', billing,
        'Values of the meter''s groups by name; null: is_other.'
    );
    EXECUTE format(
        'COMMENT ON COLUMN %I.adjustment.is_other IS %L', billing,
        'Whether it holds what the meter''s cardinality limit turned away.'
    );
    EXECUTE format('COMMENT ON COLUMN %I.adjustment.window_start IS %L', billing, 'The window that it belongs to.');
    EXECUTE format('COMMENT ON COLUMN %I.adjustment.event_time IS %L', billing, 'When that was used.');
    EXECUTE format('COMMENT ON COLUMN %I.adjustment.events IS %L', billing, 'Signed: 1 came late, -1 was withdrawn.');
    EXECUTE format(
        'COMMENT ON COLUMN %I.adjustment.value IS %L', billing,
        'What it adds to a sum, signed; else the event''s value.'
    );
    EXECUTE format('COMMENT ON COLUMN %I.adjustment.member IS %L', billing, 'Of a unique meter.');
    EXECUTE format(
        'COMMENT ON COLUMN %I.adjustment.log_time IS %L', billing,
        'Clock of the log: a version with a later cut holds it.'
    );
    EXECUTE format(
        'COMMENT ON COLUMN %I.adjustment.partition IS %L', billing,
        'Where the log has it; -1: a correction, which it does not have.'
    );
    EXECUTE format('COMMENT ON COLUMN %I.adjustment.record_offset IS %L', billing, 'Where the log has it.');
    EXECUTE format(
        'COMMENT ON COLUMN %I.usage.value IS %L', billing,
        'The value with adjustments; null: a point of a gauge was withdrawn.'
    );
END $$;
DROP INDEX adjustment_replacing;
ALTER TABLE adjustment
    DROP CONSTRAINT only_corrections_replace, DROP COLUMN replaces_before, DROP COLUMN value_offset;
