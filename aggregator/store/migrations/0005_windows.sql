-- migrate:up
-- (meter version, subject, group values). `key` is the 128-bit BLAKE2b of their length-prefixed encoding: groups
-- may hold nulls and be long, an index on 16 bytes does not care.
CREATE TABLE series (
    series_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    meter_version_id integer NOT NULL,
    is_other boolean NOT NULL,
    key bytea NOT NULL UNIQUE CHECK (length(key) = 16),
    subject text COLLATE "C" NOT NULL,
    groups text[] COLLATE "C",
    CONSTRAINT other_has_no_groups CHECK (is_other = (groups IS NULL))
);
CREATE INDEX series_by_subject ON series (meter_version_id, subject);

-- Partitioned by the window's start, not by the log's time: a window is updated for as long as it is open and its
-- primary key must hold the partition key. Old months are then set aside whole, like those of the ledger.
-- Only columns that no index holds change, and those stand last: the update stays HOT and its WAL record short,
-- for it holds what differs between the first and the last changed byte.
CREATE TABLE usage_window (
    series_id bigint NOT NULL,
    window_start timestamptz NOT NULL,
    first_offset bigint NOT NULL,
    shard integer NOT NULL,
    last_offset bigint NOT NULL,
    events bigint NOT NULL,
    value_offset bigint,
    value_time timestamptz,
    value numeric,
    PRIMARY KEY (series_id, window_start, shard),
    CONSTRAINT window_has_events CHECK (events > 0 AND last_offset - first_offset >= events - 1)
) PARTITION BY RANGE (window_start);

-- What a `unique` meter has seen in a window; counted when it is read.
CREATE TABLE window_member (
    series_id bigint NOT NULL,
    window_start timestamptz NOT NULL,
    shard integer NOT NULL,
    member text COLLATE "C" NOT NULL,
    PRIMARY KEY (series_id, window_start, shard, member)
) PARTITION BY RANGE (window_start);

-- Usage that came after its window was final for its meter.
CREATE TABLE adjustment (
    partition integer NOT NULL,
    meter_version_id integer NOT NULL,
    record_offset bigint NOT NULL,
    series_id bigint NOT NULL,
    window_start timestamptz NOT NULL,
    event_time timestamptz NOT NULL,
    batch_first_offset bigint NOT NULL CHECK (batch_first_offset <= record_offset),
    log_time timestamptz NOT NULL,
    value numeric,
    member text COLLATE "C",
    PRIMARY KEY (partition, record_offset, meter_version_id),
    CHECK (value IS NULL OR member IS NULL)
);
CREATE INDEX adjustment_by_window ON adjustment (series_id, window_start);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON adjustment
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- migrate:down
DROP TABLE adjustment, window_member, usage_window, series;
