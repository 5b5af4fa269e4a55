-- migrate:up
SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- What the migrations have made belongs to metering_owner. A worker adds and never takes away: it cannot change a
-- ledger row, an adjustment, a refused record or the catalog. A reader sees all but secrets and payloads.
DO $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO metering_worker, metering_reader', current_schema());
END $$;

REVOKE EXECUTE ON FUNCTION ensure_partitions(text, timestamptz[]), drop_dedupe_day(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_partitions(text, timestamptz[]), drop_dedupe_day(timestamptz) TO metering_worker;

GRANT SELECT ON
    schema_migration, usage_topic, ingest_partition, clock_cap, skipped, catalog_apply, meter_version, batch,
    batch_meter, dedupe_chunk, dropped_ids, series, usage_window, window_member, adjustment, quarantine,
    repair_outbox
TO metering_worker;
GRANT INSERT ON
    batch, batch_meter, dedupe_chunk, series, usage_window, window_member, adjustment, quarantine, repair_outbox
TO metering_worker;
GRANT UPDATE (
    epoch, owner, claimed_at, next_offset, frontier, newest_time, last_offset, last_timestamp, last_hash, accepted,
    duplicate, conflict, quarantined, tick, gap, lost, unmetered, flushed_at
) ON ingest_partition TO metering_worker;
GRANT UPDATE (last_offset, events, value_offset, value_time, value) ON usage_window TO metering_worker;
GRANT UPDATE (published_partition, published_offset, published_at) ON repair_outbox TO metering_worker;
GRANT DELETE ON dedupe_chunk TO metering_worker; -- compaction

GRANT SELECT ON
    schema_migration, ingest_partition, clock_cap, skipped, catalog_apply, meter_version, batch, batch_meter,
    dedupe_chunk, dropped_ids, series, usage_window, window_member, adjustment, repair_outbox
TO metering_reader;
GRANT SELECT (
    is_only, name, partitions, clock, partitioner, acceptance_window, skew, repair_horizon, applied_at
) ON usage_topic TO metering_reader;
GRANT SELECT (
    partition, meter_version_id, record_offset, record_time, timestamp_type, event_time, refused_at, code, detail,
    source, id, type, subject, origin
) ON quarantine TO metering_reader;

-- migrate:down
DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM metering_worker, metering_reader', current_schema());
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM metering_worker', current_schema());
    EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM metering_worker, metering_reader', current_schema());
END $$;
