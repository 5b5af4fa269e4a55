-- name: begin
BEGIN ISOLATION LEVEL READ COMMITTED

-- name: commit
COMMIT

-- name: rollback
ROLLBACK

-- name: advance_partitions
-- The compare-and-set. Rows are locked in order of partition, so that two flushes cannot wait for each other; a
-- row that another transaction changes meanwhile is compared again when that has committed.
WITH given AS (
    SELECT * FROM unnest(
        $1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::timestamptz[],
        $7::bigint[], $8::timestamptz[], $9::bytea[], $10::bigint[], $11::bigint[], $12::bigint[],
        $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[]
    ) AS g (
        partition, epoch, first_offset, next_offset, frontier, newest_time, last_offset, last_timestamp, last_hash,
        accepted, duplicate, conflict, quarantined, tick, gap, lost, unmetered
    )
),
locked AS MATERIALIZED (
    SELECT p.partition
    FROM ingest_partition AS p JOIN given AS g ON p.partition = g.partition
    WHERE p.epoch = g.epoch AND p.next_offset = g.first_offset
    ORDER BY p.partition
    FOR UPDATE OF p
)
UPDATE ingest_partition AS p
SET
    next_offset = g.next_offset,
    frontier = g.frontier,
    newest_time = g.newest_time,
    last_offset = g.last_offset,
    last_timestamp = g.last_timestamp,
    last_hash = g.last_hash,
    accepted = p.accepted + g.accepted,
    duplicate = p.duplicate + g.duplicate,
    conflict = p.conflict + g.conflict,
    quarantined = p.quarantined + g.quarantined,
    tick = p.tick + g.tick,
    gap = p.gap + g.gap,
    lost = p.lost + g.lost,
    unmetered = p.unmetered + g.unmetered,
    flushed_at = now()
FROM given AS g JOIN locked AS l ON l.partition = g.partition
WHERE p.partition = g.partition
RETURNING p.partition

-- name: share_catalog
-- Held until the end of the transaction; `catalog.exclusive` waits for it, and new flushes wait for that.
SELECT pg_advisory_xact_lock_shared(hashtextextended('catalog of ' || current_schema(), 0))

-- name: insert_batches
INSERT INTO batch (
    partition, first_offset, next_offset, epoch, log_time, accepted, duplicate, conflict, quarantined, tick, gap,
    lost, unmetered, late_by_pipeline, catalog_head, trace_id, span_id, worker
)
SELECT g.*, $16::text, $17::text, $18::text
FROM unnest(
    $1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[],
    $15::integer[]
) AS g

-- name: insert_batch_meters
INSERT INTO batch_meter (
    partition, first_offset, log_time, meter_version_id, matched, increments, adjustments, voids, errors,
    increment_sum, adjustment_sum, void_sum
)
SELECT
    g.partition, g.first_offset, g.log_time, g.meter_version_id, g.matched, g.increments, g.adjustments, g.voids,
    g.errors, g.increment_sum::numeric, g.adjustment_sum::numeric, g.void_sum::numeric
FROM unnest(
    $1::integer[], $2::bigint[], $3::timestamptz[], $4::integer[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::text[]
) AS g (
    partition, first_offset, log_time, meter_version_id, matched, increments, adjustments, voids, errors,
    increment_sum, adjustment_sum, void_sum
)

-- name: insert_chunks
INSERT INTO dedupe_chunk (partition, first_offset, event_hour, entries)
SELECT * FROM unnest($1::integer[], $2::bigint[], $3::timestamptz[], $4::bytea[])

-- name: insert_counted_repairs
INSERT INTO counted_repair (
    partition, record_offset, origin_partition, origin_offset, origin_code, meter_version_id
)
SELECT * FROM unnest($1::integer[], $2::bigint[], $3::integer[], $4::bigint[], $5::text[], $6::integer[])

-- name: lock_partition_rows
-- Waits until a doubtful transaction on these rows has ended, one way or the other.
SELECT partition, epoch, next_offset FROM ingest_partition
WHERE partition = ANY ($1::integer[])
ORDER BY partition
FOR UPDATE

-- name: ensure_partitions
SELECT ensure_partitions($1, $2::timestamptz[])
