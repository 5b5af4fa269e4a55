-- migrate:up
SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- What people decided about refused records, each attempt with what is sent instead of the record, if anything is.
CREATE TABLE quarantine_action (
    action_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition integer NOT NULL,
    meter_version_id integer NOT NULL,
    record_offset bigint NOT NULL,
    attempt integer NOT NULL CHECK (attempt > 0),
    at timestamptz NOT NULL DEFAULT now(),
    action text NOT NULL CHECK (action IN ('redrive', 'fix', 'discard')),
    who text NOT NULL CHECK (who <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    key bytea,
    value bytea,
    headers jsonb CHECK (jsonb_typeof(headers) = 'array'),
    UNIQUE (partition, record_offset, meter_version_id, attempt),
    FOREIGN KEY (partition, record_offset, meter_version_id) REFERENCES quarantine,
    CONSTRAINT sends_a_whole_record CHECK (num_nulls(key, value, headers) IN (0, 3)),
    CONSTRAINT sends_what_it_says CHECK (
        CASE action WHEN 'fix' THEN value IS NOT NULL WHEN 'discard' THEN value IS NULL ELSE true END
    )
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON quarantine_action
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What was decided to be counted after all, on its way to its subject's partition as a repair record.
CREATE TABLE redrive_outbox (
    action_id bigint PRIMARY KEY REFERENCES quarantine_action,
    target_partition integer NOT NULL,
    published_partition integer,
    published_offset bigint,
    published_at timestamptz,
    CONSTRAINT published_is_whole CHECK (num_nulls(published_partition, published_offset, published_at) IN (0, 3))
);
CREATE INDEX redrive_outbox_pending ON redrive_outbox (action_id) WHERE published_at IS NULL;
CREATE INDEX redrive_outbox_published ON redrive_outbox (published_partition, published_offset);

CREATE INDEX counted_repair_origin ON counted_repair (origin_partition, origin_offset, meter_version_id);

-- What has become of each refused record, the last attempt to bring it back included:
--   open           nobody has decided
--   redriven       it is on its way, or lies in the log and is not counted up to there
--   counted        a repair of it was counted
--   duplicate      its repair was found to be counted already, under another record
--   refused_again  its repair was refused too: it waits for another decision
--   discarded      somebody has given it up
--   repair         it is itself a refused repair: what it repairs is refused_again
CREATE VIEW quarantine_state AS
SELECT
    q.partition, q.record_offset, q.meter_version_id, coalesce(a.attempt, 0) AS attempts, a.action,
    sent.published_partition, sent.published_offset,
    CASE
        WHEN q.origin IS NOT NULL AND (q.meter_version_id = 0 OR q.origin LIKE '%;meter_version=%') AND EXISTS (
            SELECT FROM quarantine AS o
            WHERE o.partition = substring(q.origin FROM '^partition=([0-9]+);')::integer
                AND o.record_offset = substring(q.origin FROM ';offset=([0-9]+);')::bigint
                AND o.meter_version_id = coalesce(substring(q.origin FROM ';meter_version=([0-9]+)$')::integer, 0)
        ) THEN 'repair'
        WHEN EXISTS (
            SELECT FROM counted_repair AS c
            WHERE c.origin_partition = q.partition AND c.origin_offset = q.record_offset
                AND c.meter_version_id = q.meter_version_id AND c.origin_code = q.code
                AND (q.meter_version_id = 0 OR NOT EXISTS (
                    SELECT FROM quarantine AS e
                    WHERE e.partition = c.partition AND e.record_offset = c.record_offset
                        AND e.meter_version_id = q.meter_version_id
                ))
        ) THEN 'counted'
        WHEN a.action = 'discard' THEN 'discarded'
        WHEN NOT sent.is_sent THEN 'open'
        WHEN sent.published_offset IS NULL OR sent.published_offset >= p.next_offset THEN 'redriven'
        WHEN EXISTS (
            SELECT FROM quarantine AS e
            WHERE e.partition = sent.published_partition AND e.record_offset = sent.published_offset
                AND e.meter_version_id IN (0, q.meter_version_id)
        ) THEN 'refused_again'
        ELSE 'duplicate'
    END AS state
FROM quarantine AS q
LEFT JOIN LATERAL (
    SELECT a.action_id, a.attempt, a.action FROM quarantine_action AS a
    WHERE a.partition = q.partition AND a.record_offset = q.record_offset AND a.meter_version_id = q.meter_version_id
    ORDER BY a.attempt DESC
    LIMIT 1
) AS a ON true
LEFT JOIN redrive_outbox AS r ON r.action_id = a.action_id
-- Misplaced records are republished by themselves.
LEFT JOIN repair_outbox AS o
    ON o.partition = q.partition AND o.record_offset = q.record_offset AND q.meter_version_id = 0
CROSS JOIN LATERAL (
    SELECT
        CASE WHEN a.action IS NULL THEN o.published_partition ELSE r.published_partition END AS published_partition,
        CASE WHEN a.action IS NULL THEN o.published_offset ELSE r.published_offset END AS published_offset,
        CASE WHEN a.action IS NULL THEN o.partition ELSE r.target_partition END IS NOT NULL AS is_sent
) AS sent
LEFT JOIN ingest_partition AS p ON p.partition = sent.published_partition;

GRANT SELECT ON quarantine_action, redrive_outbox, quarantine_state TO metering_worker;
GRANT UPDATE (published_partition, published_offset, published_at) ON redrive_outbox TO metering_worker;
GRANT SELECT ON redrive_outbox, quarantine_state TO metering_reader;
GRANT SELECT (action_id, partition, meter_version_id, record_offset, attempt, at, action, who, reason)
ON quarantine_action TO metering_reader;

-- migrate:down
DROP VIEW quarantine_state;
DROP INDEX counted_repair_origin;
DROP TABLE redrive_outbox, quarantine_action;
