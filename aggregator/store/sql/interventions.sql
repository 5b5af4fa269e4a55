-- name: insert_clock_cap
-- The epoch rises: whoever holds the partition has read its caps already, and must not count that record without.
WITH fenced AS (
    UPDATE ingest_partition AS p
    SET epoch = p.epoch + 1, owner = NULL
    WHERE p.partition = $1 AND p.next_offset <= $2
    RETURNING p.partition
)
INSERT INTO clock_cap (partition, record_offset, cap, reason, who)
SELECT f.partition, $2, $3, $4, $5 FROM fenced AS f
RETURNING partition

-- name: skip_offsets
-- The epoch rises, so whoever holds the partition is fenced. The last record may be gone with the others: there is
-- nothing to compare at the next claim.
WITH moved AS (
    UPDATE ingest_partition AS p
    SET
        epoch = p.epoch + 1, owner = NULL, next_offset = $3::bigint, lost = p.lost + ($3::bigint - $2::bigint),
        last_offset = NULL, last_timestamp = NULL, last_hash = NULL, flushed_at = now()
    WHERE p.partition = $1 AND p.next_offset = $2
    RETURNING p.partition, p.epoch, p.frontier
),
entered AS (
    INSERT INTO batch (
        partition, first_offset, next_offset, epoch, log_time, accepted, duplicate, conflict, quarantined, tick, gap,
        lost, unmetered, late_by_pipeline, catalog_head, worker
    )
    SELECT
        m.partition, $2::bigint, $3::bigint, m.epoch, m.frontier, 0, 0, 0, 0, 0, 0,
        $3::bigint - $2::bigint, 0, 0, (SELECT coalesce(max(c.head), 0) FROM catalog_apply AS c), $5::text
    FROM moved AS m
    RETURNING partition
)
INSERT INTO skipped (partition, first_offset, next_offset, reason, who)
SELECT e.partition, $2, $3, $4, $5 FROM entered AS e
RETURNING partition
