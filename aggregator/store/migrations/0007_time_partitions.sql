-- migrate:up
-- Runs as its owner, so the schema is fixed and temporary objects of the caller come last.
SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- Makes the partitions of one table that rows of these instants need. A new table is made and then attached: that
-- takes no lock that flushes would wait for. One caller at a time makes them; the lock also shows the others' work,
-- which an advisory lock would not.
CREATE FUNCTION ensure_partitions(kind text, instants timestamptz[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    unit text := CASE WHEN kind = 'dedupe_chunk' THEN 'day'
                      WHEN kind IN ('batch', 'batch_meter', 'usage_window', 'window_member') THEN 'month' END;
    options text := CASE kind WHEN 'usage_window' THEN 'WITH (fillfactor = 50)' ELSE '' END;
    has_lowest boolean := kind IN ('batch', 'batch_meter');
    first timestamp;
    name text;
    made integer := 0;
BEGIN
    IF unit IS NULL THEN
        RAISE EXCEPTION '% is not partitioned by time', kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR first IN
        SELECT DISTINCT date_trunc(unit, instant AT TIME ZONE 'UTC') FROM unnest(instants) AS instant
        WHERE NOT (has_lowest AND instant < 'epoch') ORDER BY 1
    LOOP
        name := kind || to_char(first, CASE unit WHEN 'day' THEN '_YYYYMMDD' ELSE '_YYYYMM' END);
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        EXECUTE format('LOCK TABLE ONLY %I IN SHARE UPDATE EXCLUSIVE MODE', kind);
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) %s', name, kind, options);
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', kind, name,
            first AT TIME ZONE 'UTC', (first + format('1 %s', unit)::interval) AT TIME ZONE 'UTC'
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- Drops a day of ids that no record can need any more: every frontier has passed the day's end by the repair
-- horizon. What it held stays in the balance. Returns whether there was such a day.
CREATE FUNCTION drop_dedupe_day(day timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    first timestamp := date_trunc('day', day AT TIME ZONE 'UTC');
    name text := 'dedupe_chunk' || to_char(first, '_YYYYMMDD');
BEGIN
    IF to_regclass(name) IS NULL THEN
        RETURN false;
    END IF;
    IF NOT (
        SELECT min(p.frontier) >= (first + interval '1 day') AT TIME ZONE 'UTC' + max(t.repair_horizon)
        FROM ingest_partition AS p CROSS JOIN usage_topic AS t
    ) THEN
        RAISE EXCEPTION 'ids of % may still be needed', first::date USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- Readers and flushes wait while the day is dropped: rather try again later than let them wait long.
    PERFORM set_config('lock_timeout', '1s', true);
    LOCK TABLE ONLY dedupe_chunk IN ACCESS EXCLUSIVE MODE;
    EXECUTE format(
        'INSERT INTO dropped_ids (event_day, partition, ids)'
        ' SELECT %L, partition, sum(length(entries) / 16) FROM %I GROUP BY partition',
        first AT TIME ZONE 'UTC', name
    );
    EXECUTE format('DROP TABLE %I', name);
    RETURN true;
END $$;

-- migrate:down
DROP FUNCTION drop_dedupe_day(timestamptz);
DROP FUNCTION ensure_partitions(text, timestamptz[]);
