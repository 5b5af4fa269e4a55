-- migrate:up
-- A shadow schema says here what it is a replay of; a schema that counts a topic by itself has no row.
CREATE TABLE replay (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    counted_schema text NOT NULL CHECK (counted_schema <> ''),
    has_other_catalog boolean NOT NULL,
    who text NOT NULL CHECK (who <> ''),
    began_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);

-- How far the log had been counted when the replay began, which is how far it went.
CREATE TABLE replay_end (
    partition integer PRIMARY KEY CHECK (partition >= 0),
    next_offset bigint NOT NULL CHECK (next_offset >= 0)
);

GRANT SELECT ON replay, replay_end TO metering_worker, metering_reader;

-- migrate:down
DROP TABLE replay_end, replay;
