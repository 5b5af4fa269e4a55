-- name: server_settings
-- As they are for this session; those of the workers' sessions come from the same server, database and role.
SELECT name, setting FROM pg_settings
WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'server_version_num', 'server_version')

-- name: server_clock
SELECT clock_timestamp()

-- name: blocking_sessions
-- Of other logins' sessions only those with `pg_read_all_stats` see since when, and in which state.
SELECT
    h.pid, h.usename AS login, h.application_name AS application, h.state, h.xact_start AS since,
    count(DISTINCT l.pid) AS waiting
FROM pg_locks AS l
CROSS JOIN LATERAL unnest(pg_blocking_pids(l.pid)) AS b (pid)
JOIN pg_stat_activity AS h ON h.pid = b.pid
WHERE NOT l.granted AND l.waitstart < clock_timestamp() - $1::interval
GROUP BY h.pid, h.usename, h.application_name, h.state, h.xact_start
ORDER BY waiting DESC, h.pid

-- name: waiting_work
-- What closer and rater have to do: periods that can be rated by what is closed, and when the last close was.
SELECT
    (SELECT c.closed_at FROM closing AS c) AS closed_at,
    (
        SELECT count(*) FROM subscription_rating AS r
        WHERE r.due_at <= (SELECT c.log_time FROM closing AS c)
    ) AS due_periods

-- name: wrong_grants
-- What the roles must be able to do, and what nobody but the owner may.
SELECT g.role, g.privilege, g.object, g.wanted
FROM (
    SELECT 'metering_worker' AS role, w.privilege, w.object, w.wanted
    FROM (
        SELECT 'INSERT' AS privilege, t.object, true AS wanted
        FROM unnest(ARRAY[
            'batch', 'batch_meter', 'dedupe_chunk', 'series', 'usage_window', 'window_member', 'window_point',
            'adjustment', 'quarantine', 'repair_outbox', 'counted_repair', 'partition_stop', 'closing',
            'meter_watermark', 'rated_total', 'feed'
        ]) AS t (object)
        UNION ALL
        SELECT 'UPDATE', t.object, true FROM unnest(ARRAY['ingest_partition', 'usage_window', 'closing']) AS t (object)
        UNION ALL
        SELECT p.privilege, t.object, false
        FROM unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS p (privilege)
        CROSS JOIN unnest(ARRAY['batch', 'batch_meter', 'adjustment', 'rated_total']) AS t (object)
    ) AS w
    UNION ALL
    SELECT 'metering_reader', p.privilege, t.object, p.privilege = 'SELECT'
    FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p (privilege)
    CROSS JOIN unnest(ARRAY['ingest_partition', 'batch', 'usage_window', 'adjustment', 'rated_total']) AS t (object)
) AS g
LEFT JOIN pg_roles AS r ON r.rolname = g.role
WHERE g.wanted IS DISTINCT FROM CASE
    WHEN r.oid IS NULL OR to_regclass(g.object) IS NULL THEN NULL
    WHEN g.privilege IN ('INSERT', 'UPDATE', 'SELECT') THEN has_any_column_privilege(r.oid, to_regclass(g.object), g.privilege)
    ELSE has_table_privilege(r.oid, to_regclass(g.object), g.privilege)
END
ORDER BY g.role, g.object, g.privilege

-- name: server_burden
-- Of other logins' sessions only those with `pg_read_all_stats` see when their transactions began.
SELECT
    pg_database_size(current_database()) AS size_bytes,
    (SELECT w.wal_bytes::bigint FROM pg_stat_wal AS w) AS wal_bytes,
    (
        SELECT clock_timestamp() - min(a.xact_start) FROM pg_stat_activity AS a
        WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
    ) AS oldest_transaction

-- name: dead_rows
SELECT coalesce(parent.relname, t.relname) AS table_name, sum(t.n_dead_tup)::bigint AS rows
FROM pg_stat_user_tables AS t
LEFT JOIN pg_inherits AS i ON i.inhrelid = t.relid
LEFT JOIN pg_class AS parent ON parent.oid = i.inhparent
WHERE t.schemaname = current_schema()
GROUP BY 1
