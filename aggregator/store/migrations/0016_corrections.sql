-- migrate:up
-- A shadow schema says here what it is a replay of; a schema that counts a topic by itself has no row.
CREATE TABLE replay (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    counted_schema text NOT NULL CHECK (counted_schema <> ''),
    has_other_catalog boolean NOT NULL,
    log_time timestamptz, -- what was final when it began, and is closed and rated up to here; null: nothing was
    next_correction bigint NOT NULL CHECK (next_correction >= 0), -- corrections known when it began are before
    who text NOT NULL CHECK (who <> ''),
    began_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);

-- How far the log had been counted when the replay began, which is how far it went.
CREATE TABLE replay_end (
    partition integer PRIMARY KEY CHECK (partition >= 0),
    next_offset bigint NOT NULL CHECK (next_offset >= 0)
);

-- A promotion of what a replay has found: its rows beside windows are adjustments of kind `correction`, of partition
-- -1, numbered on here. The log does not hold them: the catalog that they follow from is kept instead.
CREATE TABLE correction (
    first_number bigint PRIMARY KEY CHECK (first_number >= 0),
    next_number bigint NOT NULL UNIQUE CHECK (next_number > first_number),
    log_time timestamptz NOT NULL CHECK (isfinite(log_time)),
    who text NOT NULL CHECK (who <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    shadow_schema text NOT NULL CHECK (shadow_schema <> ''),
    evidence bytea NOT NULL CHECK (length(evidence) = 32), -- SHA-256 of the rows, as `metering promote` prints them
    catalog jsonb NOT NULL CHECK (jsonb_typeof(catalog) = 'array'), -- the meter versions of the replay
    promoted_at timestamptz NOT NULL DEFAULT now()
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON correction
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT ON replay, replay_end, correction TO metering_worker, metering_reader;

-- migrate:down
DROP TABLE correction, replay_end, replay;
