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
INSERT INTO replay (counted_schema, has_other_catalog, log_time, next_correction, who, since)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: insert_replay_ends
INSERT INTO replay_end (partition, next_offset, compared_from)
SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[])

-- name: end_replay
UPDATE replay SET ended_at = now()

-- name: replay
SELECT counted_schema, has_other_catalog, log_time, next_correction, since, ended_at IS NOT NULL AS has_ended
FROM replay

-- name: replay_ends
SELECT partition, next_offset, compared_from FROM replay_end ORDER BY partition

-- name: all_plan_versions
SELECT plan_version_id, plan, version, definition::text AS definition, effective_from, retired, known_from
FROM plan_version
ORDER BY plan_version_id

-- name: all_subscription_versions
SELECT
    subscription_version_id, subscription, version, customer, plan, definition::text AS definition, effective_from,
    retired, known_from
FROM subscription_version
ORDER BY subscription_version_id

-- name: all_subscription_subjects
SELECT subject, subscription, customer FROM subscription_subject ORDER BY subject, subscription

-- name: insert_replayed_plans
INSERT INTO plan_version (plan_version_id, plan, version, definition, effective_from, retired, known_from, revision)
OVERRIDING SYSTEM VALUE
SELECT
    g.plan_version_id, g.plan, g.version, g.definition::jsonb, g.effective_from, g.retired, g.known_from, $8::integer
FROM unnest(
    $1::integer[], $2::text[], $3::integer[], $4::text[], $5::timestamptz[], $6::boolean[], $7::timestamptz[]
) AS g (plan_version_id, plan, version, definition, effective_from, retired, known_from)

-- name: insert_replayed_subscriptions
INSERT INTO subscription_version (
    subscription_version_id, subscription, version, customer, plan, definition, effective_from, retired, known_from,
    revision
)
OVERRIDING SYSTEM VALUE
SELECT
    g.subscription_version_id, g.subscription, g.version, g.customer, g.plan, g.definition::jsonb, g.effective_from,
    g.retired, g.known_from, $10::integer
FROM unnest(
    $1::integer[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::boolean[],
    $9::timestamptz[]
) AS g (subscription_version_id, subscription, version, customer, plan, definition, effective_from, retired, known_from)

-- name: insert_replayed_subjects
INSERT INTO subscription_subject (subject, subscription, customer)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[])

-- name: continue_billing_ids
SELECT
    setval(pg_get_serial_sequence('plan_version', 'plan_version_id'), greatest(1, max(p.plan_version_id))),
    setval(
        pg_get_serial_sequence('subscription_version', 'subscription_version_id'),
        greatest(1, (SELECT max(s.subscription_version_id) FROM subscription_version AS s))
    )
FROM plan_version AS p

-- name: all_corrections
-- What was promoted so far, by the natural keys of its series.
SELECT
    a.record_offset, a.batch_first_offset AS promotion, a.meter_version_id, s.subject, s.is_other, s.groups,
    a.window_start, a.events, a.value, a.member, a.event_time, a.value_offset, a.replaces_before, a.log_time
FROM adjustment AS a JOIN series AS s ON s.series_id = a.series_id
WHERE a.partition = -1
ORDER BY a.record_offset

-- name: all_promotions
SELECT
    first_number, next_number, log_time, who, reason, shadow_schema, evidence, catalog::text AS catalog, promoted_at
FROM correction
ORDER BY first_number

-- name: insert_promotion
INSERT INTO correction (
    first_number, next_number, log_time, who, reason, shadow_schema, evidence, catalog, promoted_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, coalesce($9, now()))

-- name: next_correction
SELECT coalesce(max(next_number), 0) FROM correction
