-- name: partition_states
-- A worker's connections bear its name, as far as the server keeps it: so an owner is seen to be there while it has
-- nothing to count. `read_at` is the clock that the other times are of.
SELECT
    p.partition, p.epoch, p.owner, p.claimed_at, p.first_offset, p.next_offset, p.frontier, p.newest_time, p.accepted,
    p.duplicate, p.conflict, p.quarantined, p.tick, p.gap, p.lost, p.unmetered, p.flushed_at,
    EXISTS (
        SELECT FROM pg_stat_activity AS a
        WHERE a.datname = current_database() AND a.application_name = left('metering worker ' || p.owner, 63)
    ) AS is_connected,
    clock_timestamp() AS read_at
FROM ingest_partition AS p
ORDER BY p.partition

-- name: counted_topic
-- What anyone may know of the topic; `topic_rules` has the secret too.
SELECT name, partitions, clock, repair_horizon FROM usage_topic
