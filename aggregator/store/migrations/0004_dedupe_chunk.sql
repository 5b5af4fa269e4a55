-- migrate:up
-- Packed ids, a row per flush and event hour until the hour is done. EXTERNAL: hashes do not compress, and their
-- length is known without reading them.
CREATE TABLE dedupe_chunk (
    event_hour timestamptz NOT NULL CHECK (event_hour = date_trunc('hour', event_hour, 'UTC')),
    first_offset bigint NOT NULL,
    partition integer NOT NULL,
    entries bytea STORAGE EXTERNAL NOT NULL CHECK (length(entries) > 0 AND length(entries) % 16 = 0),
    PRIMARY KEY (event_hour, partition, first_offset)
) PARTITION BY RANGE (event_hour);

-- What was dropped with a day stays in the balance: accepted = ids in chunks + ids dropped.
CREATE TABLE dropped_ids (
    event_day timestamptz NOT NULL CHECK (event_day = date_trunc('day', event_day, 'UTC')),
    partition integer NOT NULL,
    ids bigint NOT NULL CHECK (ids > 0),
    dropped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_day, partition)
);

-- migrate:down
DROP TABLE dropped_ids, dedupe_chunk;
