-- name: insert_partition_stop
-- Of an owner that was fenced meanwhile nothing is kept; of an owner's stops the first.
INSERT INTO partition_stop (partition, epoch, record_offset, code, seen)
SELECT p.partition, p.epoch, $3, $4, $5
FROM ingest_partition AS p
WHERE p.partition = $1 AND p.epoch = $2
ON CONFLICT DO NOTHING

-- name: insert_topic_stop
-- What others count they stop themselves, if they find it so too: the settings of this process alone may be wrong.
INSERT INTO partition_stop (partition, epoch, record_offset, code, seen)
SELECT p.partition, p.epoch, p.next_offset, $1, $2
FROM ingest_partition AS p
WHERE
    p.owner = $3 OR NOT EXISTS (
        SELECT FROM pg_stat_activity AS a
        WHERE a.datname = current_database() AND a.application_name = left('metering worker ' || p.owner, 63)
    )
ON CONFLICT DO NOTHING

-- name: standing_stops
SELECT s.partition, s.epoch, s.record_offset, s.code, s.seen
FROM partition_stop AS s
JOIN ingest_partition AS p ON p.partition = s.partition AND p.epoch = s.epoch
ORDER BY s.partition
