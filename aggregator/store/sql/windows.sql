-- name: find_series
SELECT key, series_id FROM series WHERE key = ANY ($1::bytea[])

-- name: insert_series
-- In order of key: another flush that adds some of the same is waited for, and never waits for this one.
INSERT INTO series (key, meter_version_id, subject, is_other, groups)
SELECT
    g.key, g.meter_version_id, g.subject, g.groups IS NULL,
    CASE WHEN g.groups IS NOT NULL THEN ARRAY(
        SELECT v.value FROM jsonb_array_elements_text(g.groups::jsonb) WITH ORDINALITY AS v (value, place) ORDER BY place
    ) END
FROM unnest($1::bytea[], $2::integer[], $3::text[], $4::text[]) AS g (key, meter_version_id, subject, groups)
ORDER BY g.key
ON CONFLICT (key) DO NOTHING
RETURNING key, series_id

-- name: merge_windows
-- $8 says how values merge: sum (also for count and unique, whose values stay null), min or max.
-- Columns come as the texts of arrays, window starts in seconds: an array of numbers costs the worker three times more.
-- Update first, insert what was not there: nobody else writes rows of this shard while its partition is locked,
-- and ON CONFLICT would write a lock record to the WAL for each row.
WITH given AS MATERIALIZED (
    SELECT
        g.series_id, to_timestamp(g.start_s) AS window_start, g.shard, g.first_offset, g.last_offset, g.events, g.value
    FROM unnest(
        $1::text::bigint[], $2::text::float8[], $3::text::integer[], $4::text::bigint[], $5::text::bigint[],
        $6::text::bigint[], $7::text::numeric[]
    ) AS g (series_id, start_s, shard, first_offset, last_offset, events, value)
),
updated AS (
    UPDATE usage_window AS w
    SET
        last_offset = g.last_offset,
        events = w.events + g.events,
        value = CASE $8::text
            WHEN 'sum' THEN w.value + g.value
            WHEN 'min' THEN least(w.value, g.value)
            WHEN 'max' THEN greatest(w.value, g.value)
        END
    FROM given AS g
    WHERE w.series_id = g.series_id AND w.window_start = g.window_start AND w.shard = g.shard
    RETURNING w.series_id, w.window_start, w.shard
)
INSERT INTO usage_window (series_id, window_start, shard, first_offset, last_offset, events, value)
SELECT g.series_id, g.window_start, g.shard, g.first_offset, g.last_offset, g.events, g.value
FROM given AS g
WHERE (g.series_id, g.window_start, g.shard) NOT IN (SELECT u.series_id, u.window_start, u.shard FROM updated AS u)

-- name: replace_windows
-- last and gauge: the greatest (time, offset) stays.
WITH given AS MATERIALIZED (
    SELECT
        g.series_id, g.window_start, g.shard, g.first_offset, g.last_offset, g.events, g.value::numeric AS value,
        g.value_time, g.value_offset
    FROM unnest(
        $1::bigint[], $2::timestamptz[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[],
        $8::timestamptz[], $9::bigint[]
    ) AS g (series_id, window_start, shard, first_offset, last_offset, events, value, value_time, value_offset)
),
updated AS (
    UPDATE usage_window AS w
    SET
        last_offset = g.last_offset,
        events = w.events + g.events,
        value = CASE WHEN (g.value_time, g.value_offset) > (w.value_time, w.value_offset) THEN g.value ELSE w.value END,
        value_time = CASE WHEN (g.value_time, g.value_offset) > (w.value_time, w.value_offset) THEN g.value_time ELSE w.value_time END,
        value_offset = CASE WHEN (g.value_time, g.value_offset) > (w.value_time, w.value_offset) THEN g.value_offset ELSE w.value_offset END
    FROM given AS g
    WHERE w.series_id = g.series_id AND w.window_start = g.window_start AND w.shard = g.shard
    RETURNING w.series_id, w.window_start, w.shard
)
INSERT INTO usage_window (
    series_id, window_start, shard, first_offset, last_offset, events, value, value_time, value_offset
)
SELECT
    g.series_id, g.window_start, g.shard, g.first_offset, g.last_offset, g.events, g.value, g.value_time,
    g.value_offset
FROM given AS g
WHERE (g.series_id, g.window_start, g.shard) NOT IN (SELECT u.series_id, u.window_start, u.shard FROM updated AS u)

-- name: insert_members
INSERT INTO window_member (series_id, window_start, shard, member)
SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::integer[], $4::text[])
ON CONFLICT DO NOTHING

-- name: insert_points
INSERT INTO window_point (series_id, window_start, shard, point_time, point_offset, value)
SELECT g.series_id, g.window_start, g.shard, g.point_time, g.point_offset, g.value::numeric
FROM unnest($1::bigint[], $2::timestamptz[], $3::integer[], $4::timestamptz[], $5::bigint[], $6::text[])
    AS g (series_id, window_start, shard, point_time, point_offset, value)

-- name: insert_adjustments
INSERT INTO adjustment (
    partition, record_offset, meter_version_id, series_id, window_start, kind, events, value, member, event_time,
    batch_first_offset, log_time
)
SELECT
    g.partition, g.record_offset, g.meter_version_id, g.series_id, g.window_start, g.kind, g.events,
    g.value::numeric, g.member, g.event_time, g.batch_first_offset, g.log_time
FROM unnest(
    $1::integer[], $2::bigint[], $3::integer[], $4::bigint[], $5::timestamptz[], $6::text[], $7::bigint[],
    $8::text[], $9::text[], $10::timestamptz[], $11::bigint[], $12::timestamptz[]
) AS g (
    partition, record_offset, meter_version_id, series_id, window_start, kind, events, value, member, event_time,
    batch_first_offset, log_time
)
