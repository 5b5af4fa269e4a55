-- name: partition_states
SELECT
    partition, epoch, owner, claimed_at, first_offset, next_offset, frontier, newest_time, accepted, duplicate,
    conflict, quarantined, tick, gap, lost, unmetered, flushed_at
FROM ingest_partition
ORDER BY partition
