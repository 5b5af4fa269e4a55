-- name: partition_claims
-- Where counting stands, with the proof of its last record.
SELECT
    partition, first_offset, next_offset, frontier, newest_time, last_offset, last_timestamp, last_hash
FROM ingest_partition
ORDER BY partition

-- name: all_clock_caps
SELECT partition, record_offset, cap, reason, who FROM clock_cap ORDER BY partition, record_offset

-- name: all_skipped
SELECT partition, first_offset, next_offset, reason, who FROM skipped ORDER BY partition, first_offset

-- name: published_repairs
SELECT partition, record_offset, published_partition, published_offset
FROM repair_outbox
WHERE published_at IS NOT NULL
ORDER BY partition, record_offset

-- name: schema_relations
-- What there is in the schema that the search path names, but for an empty list of migrations.
SELECT c.relname::text AS name
FROM pg_class AS c
WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    AND c.relname <> 'schema_migration'
ORDER BY c.relname

-- name: insert_clock_caps
INSERT INTO clock_cap (partition, record_offset, cap, reason, who)
SELECT * FROM unnest($1::integer[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[])

-- name: insert_replayed_versions
-- Under the ids that they have where they come from: repair records of the log name them.
INSERT INTO meter_version (meter_version_id, meter, version, definition, effective_from, retired, apply_head)
OVERRIDING SYSTEM VALUE
SELECT g.meter_version_id, g.meter, g.version, g.definition::jsonb, g.effective_from, g.retired, $7::integer
FROM unnest($1::integer[], $2::text[], $3::integer[], $4::text[], $5::timestamptz[], $6::boolean[])
    AS g (meter_version_id, meter, version, definition, effective_from, retired)

-- name: continue_version_ids
SELECT setval(pg_get_serial_sequence('meter_version', 'meter_version_id'), max(meter_version_id)) FROM meter_version

-- name: insert_replay
INSERT INTO replay (counted_schema, has_other_catalog, who) VALUES ($1, $2, $3)

-- name: insert_replay_ends
INSERT INTO replay_end (partition, next_offset) SELECT * FROM unnest($1::integer[], $2::bigint[])

-- name: end_replay
UPDATE replay SET ended_at = now()

-- name: replay
SELECT counted_schema, has_other_catalog, ended_at IS NOT NULL AS has_ended FROM replay

-- name: replay_ends
SELECT partition, next_offset FROM replay_end ORDER BY partition
