-- name: lock_catalog
SELECT pg_advisory_xact_lock(hashtextextended('catalog of ' || current_schema(), 0))

-- name: frontiers
SELECT partition, frontier FROM ingest_partition

-- name: insert_apply
INSERT INTO catalog_apply (applied_by, digest) VALUES ($1, $2) RETURNING head

-- name: insert_versions
INSERT INTO meter_version (meter, version, definition, effective_from, retired, apply_head)
SELECT g.meter, g.version, g.definition::jsonb, g.effective_from, g.retired, $6::integer
FROM unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[], $5::boolean[])
    AS g (meter, version, definition, effective_from, retired)
