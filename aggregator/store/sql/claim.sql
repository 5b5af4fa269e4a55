-- name: claim_partitions
WITH locked AS MATERIALIZED (
    SELECT p.partition FROM ingest_partition AS p
    WHERE p.partition = ANY ($1::integer[])
    ORDER BY p.partition
    FOR UPDATE
)
UPDATE ingest_partition AS p
SET epoch = p.epoch + 1, owner = $2, claimed_at = now()
FROM locked
WHERE p.partition = locked.partition
RETURNING
    p.partition, p.epoch, p.first_offset, p.next_offset, p.frontier, p.newest_time,
    p.last_offset, p.last_timestamp, p.last_hash,
    p.accepted, p.duplicate, p.conflict, p.quarantined, p.tick, p.gap, p.lost, p.unmetered

-- name: ledger_ends
-- Where the ledger of each partition ends; read after the claim has waited out every earlier flush.
SELECT
    p.partition,
    coalesce(
        (SELECT b.next_offset FROM batch AS b WHERE b.partition = p.partition ORDER BY b.first_offset DESC LIMIT 1),
        p.first_offset
    ) AS ledger_end
FROM ingest_partition AS p
WHERE p.partition = ANY ($1::integer[])
