-- name: recent_outcomes
-- Whole partitions of the ledger are read: for who has time.
SELECT coalesce(sum(b.accepted), 0)::bigint AS accepted, coalesce(sum(b.duplicate), 0)::bigint AS duplicate
FROM batch AS b
WHERE b.committed_at > clock_timestamp() - $1::interval

-- name: recent_refusals
SELECT q.code, q.source, v.meter, count(*) AS records
FROM quarantine AS q
LEFT JOIN meter_version AS v ON v.meter_version_id = q.meter_version_id
WHERE q.refused_at > clock_timestamp() - $1::interval
GROUP BY q.code, q.source, v.meter
ORDER BY records DESC, q.code, q.source, v.meter

-- name: recent_overflow
-- Windows that began lately, by the time of events.
SELECT v.meter, s.subject, sum(w.events)::bigint AS events
FROM series AS s
JOIN meter_version AS v ON v.meter_version_id = s.meter_version_id
JOIN usage_window AS w ON w.series_id = s.series_id
WHERE s.is_other AND w.window_start > clock_timestamp() - $1::interval
GROUP BY v.meter, s.subject
ORDER BY events DESC, v.meter, s.subject
