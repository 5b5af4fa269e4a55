-- What the auditor has proved, and what it reads to prove more: a bounded part of each table, by its primary key.

-- name: keep_proof
INSERT INTO proof (what, checked, wrong, unreadable, findings) VALUES ($1, $2, $3, $4, $5)

-- name: forget_proofs
-- Of the oldest few those that have had their time. The newest ones say what is open, and never have.
DELETE FROM proof AS p
USING (
    SELECT o.proof_id, o.at FROM proof AS o WHERE o.what = $1 ORDER BY o.proof_id LIMIT $2
) AS oldest
WHERE p.what = $1 AND p.proof_id = oldest.proof_id AND oldest.at < now() - interval '8 days'
    AND p.proof_id < (SELECT max(n.proof_id) FROM proof AS n WHERE n.what = $1)

-- name: newest_proofs
SELECT p.what, p.proof_id, p.at, p.checked, p.wrong, p.unreadable, p.findings, clock_timestamp() AS read_at
FROM unnest(ARRAY['windows', 'ledger', 'totals', 'log']) AS w (what)
CROSS JOIN LATERAL (SELECT n.* FROM proof AS n WHERE n.what = w.what ORDER BY n.proof_id DESC LIMIT 1) AS p

-- name: proofs_since
SELECT p.what, p.proof_id, p.at, p.checked, p.wrong, p.unreadable, p.findings, clock_timestamp() AS read_at
FROM unnest(ARRAY['windows', 'ledger', 'totals', 'log']) AS w (what)
CROSS JOIN LATERAL (
    SELECT n.* FROM proof AS n WHERE n.what = w.what AND n.proof_id > $1 ORDER BY n.proof_id LIMIT $2
) AS p
ORDER BY p.proof_id

-- name: proved_accuracy
-- Of the newest proofs of windows: how much was compared, and how much of it was unequal.
SELECT coalesce(sum(n.checked), 0)::bigint AS checked, coalesce(sum(n.wrong), 0)::bigint AS wrong
FROM (SELECT p.checked, p.wrong FROM proof AS p WHERE p.what = 'windows' ORDER BY p.proof_id DESC LIMIT $1) AS n

-- name: ledger_from
SELECT
    b.first_offset, b.next_offset, b.log_time, b.accepted, b.duplicate, b.conflict, b.quarantined, b.tick, b.gap, b.lost
FROM batch AS b
WHERE b.partition = $1 AND b.first_offset >= $2
ORDER BY b.first_offset
LIMIT $3

-- name: batch_before
-- The last batch that begins at this offset or before it.
SELECT b.first_offset, b.next_offset, b.log_time
FROM batch AS b
WHERE b.partition = $1 AND b.first_offset <= $2
ORDER BY b.first_offset DESC
LIMIT 1

-- name: meter_ledger_from
-- What batches say stands beside windows and in quarantine for a meter. $2: offsets in [first, next).
SELECT m.first_offset, m.meter_version_id, m.adjustments, m.adjustment_sum, m.voids, m.void_sum, m.errors
FROM batch_meter AS m
WHERE m.partition = $1 AND m.first_offset >= $2 AND m.first_offset < $3
    AND (m.adjustments > 0 OR m.voids > 0 OR m.errors > 0)

-- name: adjustments_of_batches
-- What does stand beside windows. $2, $3: first and next offsets of the batches.
SELECT
    b.first_offset, a.meter_version_id, a.kind, count(*) AS events,
    coalesce(sum(a.value) FILTER (WHERE v.definition ->> 'aggregation' = 'sum'), 0) AS value
FROM unnest($2::bigint[], $3::bigint[]) AS b (first_offset, next_offset)
JOIN adjustment AS a
    ON a.partition = $1 AND a.record_offset >= b.first_offset AND a.record_offset < b.next_offset
LEFT JOIN meter_version AS v ON v.meter_version_id = a.meter_version_id
GROUP BY b.first_offset, a.meter_version_id, a.kind

-- name: quarantine_of_batches
SELECT b.first_offset, q.meter_version_id, count(*) AS rows
FROM unnest($2::bigint[], $3::bigint[]) AS b (first_offset, next_offset)
JOIN quarantine AS q
    ON q.partition = $1 AND q.record_offset >= b.first_offset AND q.record_offset < b.next_offset
GROUP BY b.first_offset, q.meter_version_id

-- name: greatest_series
SELECT coalesce(max(s.series_id), 0) FROM series AS s

-- name: sampled_subjects
-- Subjects with a window in a partition that begins in [$3, $4): of the series that follow these numbers.
SELECT DISTINCT s.subject
FROM unnest($1::bigint[]) AS probe (series_id)
CROSS JOIN LATERAL (
    SELECT n.series_id, n.subject FROM series AS n WHERE n.series_id >= probe.series_id ORDER BY n.series_id LIMIT 1
) AS s
CROSS JOIN LATERAL (
    SELECT FROM usage_window AS w
    WHERE w.series_id = s.series_id AND w.shard = $2 AND w.window_start >= $3 AND w.window_start < $4
    LIMIT 1
) AS w

-- name: subjects_after
-- Subjects of a meter version, in order: those that follow one.
SELECT DISTINCT s.subject FROM series AS s
WHERE s.meter_version_id = $1 AND s.subject > $2
ORDER BY s.subject
LIMIT $3

-- name: summed_meters
-- Sums that the second ledger is compared by: one a partition and meter version.
SELECT (SELECT count(*) FROM ingest_partition) * (SELECT count(*) FROM meter_version AS v WHERE NOT v.retired)
