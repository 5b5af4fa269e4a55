-- name: chunks_of_hour
-- The newest first: what was counted lately is asked for most.
SELECT c.entries FROM dedupe_chunk AS c
WHERE c.partition = $1 AND c.event_hour = $2
ORDER BY c.first_offset DESC

-- name: hour_is_dropped
SELECT EXISTS (
    SELECT FROM dropped_ids AS d
    WHERE d.partition = $1 AND d.event_day = date_trunc('day', $2::timestamptz, 'UTC')
)

-- name: refused_offsets
-- Refused as a whole: what a meter alone could not read was accepted.
SELECT q.record_offset FROM quarantine AS q
WHERE q.partition = $1 AND q.record_offset >= $2 AND q.record_offset < $3 AND q.meter_version_id = 0

-- name: some_slices
-- $1: chunks, chosen at random; $2: bytes of each. Entries have 16 bytes; only what is asked for is read of a chunk.
SELECT c.event_hour, c.partition, c.first_offset, substr(c.entries, 16 * s.entry + 1, $2) AS entries
FROM (
    SELECT c.event_hour, c.partition, c.first_offset, c.entries FROM dedupe_chunk AS c ORDER BY random() LIMIT $1
) AS c
CROSS JOIN LATERAL (
    SELECT floor(random() * (greatest(0, length(c.entries) - $2) / 16 + 1))::integer AS entry
) AS s
