-- name: insert_partition_stop
-- Of an owner that was fenced meanwhile nothing is kept; of an owner's stops the first.
INSERT INTO partition_stop (partition, epoch, record_offset, code, seen)
SELECT p.partition, p.epoch, $3, $4, $5
FROM ingest_partition AS p
WHERE p.partition = $1 AND p.epoch = $2
ON CONFLICT DO NOTHING

-- name: standing_stops
SELECT s.partition, s.epoch, s.record_offset, s.code, s.seen
FROM partition_stop AS s
JOIN ingest_partition AS p ON p.partition = s.partition AND p.epoch = s.epoch
ORDER BY s.partition
