-- migrate:up
-- A refused record as it came, or (meter_version_id > 0) an accepted one that this meter version could not read.
CREATE TABLE quarantine (
    partition integer NOT NULL,
    meter_version_id integer NOT NULL DEFAULT 0,
    record_offset bigint NOT NULL,
    record_time timestamptz NOT NULL,
    timestamp_type smallint NOT NULL,
    event_time timestamptz,
    refused_at timestamptz NOT NULL DEFAULT now(),
    code text NOT NULL CHECK (code <> ''),
    detail text NOT NULL,
    source text,
    id text,
    type text,
    subject text,
    origin text,
    key bytea,
    value bytea,
    headers jsonb NOT NULL CHECK (jsonb_typeof(headers) = 'array'),
    PRIMARY KEY (partition, record_offset, meter_version_id)
);
CREATE INDEX quarantine_by_code ON quarantine (code, refused_at);

-- Misplaced records on their way to their subject's partition, each published as one repair record.
CREATE TABLE repair_outbox (
    partition integer NOT NULL,
    target_partition integer NOT NULL CHECK (target_partition <> partition),
    record_offset bigint NOT NULL,
    published_offset bigint,
    published_at timestamptz,
    published_partition integer,
    PRIMARY KEY (partition, record_offset),
    CONSTRAINT published_is_whole CHECK (num_nulls(published_partition, published_offset, published_at) IN (0, 3))
);
CREATE INDEX repair_outbox_pending ON repair_outbox (partition, record_offset) WHERE published_at IS NULL;
CREATE INDEX repair_outbox_published ON repair_outbox (published_partition, published_offset);

-- migrate:down
DROP TABLE repair_outbox, quarantine;
