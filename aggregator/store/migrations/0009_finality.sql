-- migrate:up
-- Functions run with the schema fixed, and temporary objects of the caller come last.
SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- Every partition's frontier has reached log_time: whatever is still to come has a frontier at least as great.
-- Room on the page, for the row changes with every record.
CREATE TABLE closing (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    log_time timestamptz NOT NULL CHECK (isfinite(log_time)),
    closed_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- Every window of a meter version that begins before final_before is final: final_before is the greatest boundary
-- of its windows that the closing has passed by the grace. A version without a row has no final window yet.
CREATE TABLE meter_watermark (
    meter_version_id integer PRIMARY KEY REFERENCES meter_version,
    window_length interval NOT NULL CHECK (window_length > interval '0'),
    grace interval NOT NULL CHECK (grace >= interval '0'),
    final_before timestamptz NOT NULL CHECK (isfinite(final_before)),
    CONSTRAINT final_before_is_a_boundary CHECK (
        date_bin(window_length, final_before, timestamptz '1970-01-01 00:00:00+00') = final_before
    )
) WITH (fillfactor = 50);

-- The database believes no closer: what is final is compared with the frontiers, and never taken back.
CREATE FUNCTION check_closing() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.log_time < OLD.log_time THEN
        RAISE EXCEPTION 'what is final stays final: the closing would fall from % to %', OLD.log_time, NEW.log_time
        USING ERRCODE = 'restrict_violation';
    END IF;
    IF NOT coalesce((
        SELECT count(*) = t.partitions AND min(p.frontier) >= NEW.log_time
        FROM usage_topic AS t CROSS JOIN ingest_partition AS p
        GROUP BY t.partitions
    ), false) THEN
        RAISE EXCEPTION 'not every frontier has reached %', NEW.log_time USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION check_watermark() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (
        NEW.final_before < OLD.final_before
        OR (NEW.meter_version_id, NEW.window_length, NEW.grace)
            <> (OLD.meter_version_id, OLD.window_length, OLD.grace)
    ) THEN
        RAISE EXCEPTION 'what is final stays final: the watermark of meter version % would fall or change its meaning',
            OLD.meter_version_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF NOT coalesce((SELECT NEW.final_before + NEW.grace <= c.log_time FROM closing AS c), false) THEN
        RAISE EXCEPTION 'the closing has not reached % and the grace of meter version %', NEW.final_before,
            NEW.meter_version_id USING ERRCODE = 'restrict_violation';
    END IF;
    IF NOT EXISTS (
        SELECT FROM meter_version AS v
        WHERE v.meter_version_id = NEW.meter_version_id
            AND (v.definition ->> 'window')::interval = NEW.window_length
            AND (v.definition ->> 'grace')::interval = NEW.grace
    ) THEN
        RAISE EXCEPTION 'meter version % has another window or grace', NEW.meter_version_id
        USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER only_grows BEFORE INSERT OR UPDATE ON closing FOR EACH ROW EXECUTE FUNCTION check_closing();
CREATE TRIGGER only_grows BEFORE INSERT OR UPDATE ON meter_watermark FOR EACH ROW EXECUTE FUNCTION check_watermark();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON closing FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON meter_watermark FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A window belongs to a meter version through its series.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON series
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Refuses a statement that has touched a final window. Most touch none that is older than any watermark, and are done
-- with the first query. Else the series are looked up in one walk along their index, and joined by hashing: a planner
-- that expects a small batch would read all series instead, or compare each row of a large one with all the others.
CREATE FUNCTION refuse_final() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT SET enable_nestloop = off SET enable_seqscan = off AS $$
DECLARE
    versions integer[] := ARRAY(
        SELECT w.meter_version_id FROM meter_watermark AS w
        WHERE w.final_before > (SELECT min(t.window_start) FROM touched AS t)
    );
    refused record;
BEGIN
    IF versions = '{}' THEN
        RETURN NULL;
    END IF;
    SELECT t.series_id, t.window_start, w.final_before INTO refused
    FROM (
        SELECT s.series_id, s.meter_version_id FROM series AS s
        WHERE s.series_id = ANY (ARRAY(SELECT t.series_id FROM touched AS t))
        OFFSET 0 -- so that no other index comes into question
    ) AS s
    JOIN meter_watermark AS w ON w.meter_version_id = s.meter_version_id
    JOIN touched AS t ON t.series_id = s.series_id AND t.window_start < w.final_before
    WHERE s.meter_version_id = ANY (versions)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% of %: the window % of series % is final, as all before % are', TG_OP, TG_TABLE_NAME,
            refused.window_start, refused.series_id, refused.final_before USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION refuse_window_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION '% of %: windows are neither moved nor emptied', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation';
END $$;

-- Puts the refusal on a table of windows (series_id, window_start, shard, …) or on a time partition of one: triggers of
-- a parent do not see statements that name the partition. Keys never change, so an update needs its new rows alone.
CREATE FUNCTION guard_windows(name text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER final_insert AFTER INSERT ON %I REFERENCING NEW TABLE AS touched'
        ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_final()', name
    );
    EXECUTE format(
        'CREATE TRIGGER final_update AFTER UPDATE ON %I REFERENCING NEW TABLE AS touched'
        ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_final()', name
    );
    EXECUTE format(
        'CREATE TRIGGER final_delete AFTER DELETE ON %I REFERENCING OLD TABLE AS touched'
        ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_final()', name
    );
    EXECUTE format(
        'CREATE TRIGGER final_key BEFORE UPDATE OF series_id, window_start, shard ON %I'
        ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_window_change()', name
    );
    EXECUTE format(
        'CREATE TRIGGER final_truncate BEFORE TRUNCATE ON %I'
        ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_window_change()', name
    );
END $$;

-- What is partitioned by time, and how; the rows with `has_lowest` have a partition for all before 1970.
CREATE TABLE time_partitioned (
    kind text PRIMARY KEY,
    unit text NOT NULL CHECK (unit IN ('day', 'month')),
    options text NOT NULL,
    has_lowest boolean NOT NULL
);
INSERT INTO time_partitioned VALUES
    ('batch', 'month', '', true),
    ('batch_meter', 'month', '', true),
    ('dedupe_chunk', 'day', '', false),
    ('usage_window', 'month', 'WITH (fillfactor = 50)', false),
    ('window_member', 'month', '', false);

-- As in 0007, but for the table above, and for the guard of windows, which a new partition gets before rows can.
CREATE OR REPLACE FUNCTION ensure_partitions(kind text, instants timestamptz[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    rule time_partitioned;
    first timestamp;
    name text;
    made integer := 0;
BEGIN
    SELECT t.* INTO rule FROM time_partitioned AS t WHERE t.kind = ensure_partitions.kind;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is not partitioned by time', kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR first IN
        SELECT DISTINCT date_trunc(rule.unit, instant AT TIME ZONE 'UTC') FROM unnest(instants) AS instant
        WHERE NOT (rule.has_lowest AND instant < 'epoch') ORDER BY 1
    LOOP
        name := kind || to_char(first, CASE rule.unit WHEN 'day' THEN '_YYYYMMDD' ELSE '_YYYYMM' END);
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        EXECUTE format('LOCK TABLE ONLY %I IN SHARE UPDATE EXCLUSIVE MODE', kind);
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) %s', name, kind, rule.options);
        IF EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = kind::regclass AND g.tgname = 'final_insert') THEN
            PERFORM guard_windows(name);
        END IF;
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', kind, name,
            first AT TIME ZONE 'UTC', (first + format('1 %s', rule.unit)::interval) AT TIME ZONE 'UTC'
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

SELECT guard_windows(c.relname)
FROM pg_class AS c
WHERE c.relnamespace = current_schema()::regnamespace AND (
    c.relname IN ('usage_window', 'window_member')
    OR c.oid IN (
        SELECT i.inhrelid FROM pg_inherits AS i
        WHERE i.inhparent IN ('usage_window'::regclass, 'window_member'::regclass)
    )
) AND c.relkind IN ('r', 'p');

REVOKE EXECUTE ON FUNCTION guard_windows(text) FROM PUBLIC;
GRANT SELECT ON closing, meter_watermark TO metering_worker, metering_reader;
GRANT INSERT, UPDATE ON closing, meter_watermark TO metering_worker;

-- migrate:down
SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

CREATE OR REPLACE FUNCTION ensure_partitions(kind text, instants timestamptz[]) RETURNS integer
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

DROP TABLE time_partitioned;
DROP FUNCTION guard_windows(text);
DROP FUNCTION refuse_window_change() CASCADE; -- with the triggers on every time partition
DROP FUNCTION refuse_final() CASCADE;
DROP TRIGGER append_only ON series;
DROP TABLE meter_watermark, closing;
DROP FUNCTION check_watermark();
DROP FUNCTION check_closing();
