-- name: topic_rules
SELECT
    name, partitions, clock, partitioner, acceptance_window, skew, repair_horizon, identity_key
FROM usage_topic

-- name: landing_rules
SELECT partitions, partitioner, clock, skew, repair_horizon FROM usage_topic

-- name: memory_entries
SELECT entries FROM dedupe_chunk WHERE partition = $1 AND event_hour >= $2

-- name: archived_entries
SELECT event_hour, entries FROM dedupe_chunk
WHERE partition = $1 AND event_hour = ANY ($2::timestamptz[])

-- name: group_values
-- The group values that have a window or a late event under each key; `other` is no group.
SELECT k.place, s.groups
FROM unnest($2::integer[], $3::integer[], $4::text[], $5::timestamptz[])
    AS k (place, meter_version_id, subject, window_start)
CROSS JOIN LATERAL (
    SELECT s.groups FROM series AS s
    WHERE s.meter_version_id = k.meter_version_id AND s.subject = k.subject AND NOT s.is_other
        AND (
            EXISTS (
                SELECT FROM usage_window AS w
                WHERE w.series_id = s.series_id AND w.window_start = k.window_start AND w.shard = $1
            )
            OR EXISTS (
                SELECT FROM adjustment AS a
                WHERE a.series_id = s.series_id AND a.window_start = k.window_start AND a.partition = $1
                    AND a.kind = 'late'
            )
        )
) AS s

-- name: clock_caps
SELECT record_offset, cap FROM clock_cap WHERE partition = $1

-- name: catalog_head
SELECT coalesce(max(head), 0) FROM catalog_apply

-- name: meter_versions
SELECT meter_version_id, meter, version, definition, effective_from, retired
FROM meter_version
ORDER BY meter_version_id
