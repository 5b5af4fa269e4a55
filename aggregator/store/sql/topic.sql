-- name: insert_topic
INSERT INTO usage_topic (
    name, partitions, clock, partitioner, acceptance_window, skew, repair_horizon, identity_key
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING
RETURNING name

-- name: insert_partitions
INSERT INTO ingest_partition (partition, first_offset, next_offset)
SELECT g.partition, g.first_offset, g.first_offset
FROM unnest($1::integer[], $2::bigint[]) AS g (partition, first_offset)
