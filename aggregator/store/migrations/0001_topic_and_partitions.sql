-- migrate:up
-- One schema counts one topic: its rules never change, because every decision so far rests on them.
CREATE TABLE usage_topic (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    name text NOT NULL CHECK (name <> ''),
    partitions integer NOT NULL CHECK (partitions > 0),
    clock text NOT NULL CHECK (clock IN ('broker', 'record')),
    partitioner text NOT NULL CHECK (partitioner IN ('murmur2', 'crc32')),
    acceptance_window interval NOT NULL CHECK (acceptance_window > interval '0'),
    skew interval NOT NULL CHECK (skew >= interval '0'),
    repair_horizon interval NOT NULL CHECK (repair_horizon >= acceptance_window),
    identity_key bytea NOT NULL CHECK (length(identity_key) = 16),
    applied_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON usage_topic
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The one row that a flush compares and sets. It changes at every flush: room on its page keeps that HOT.
CREATE TABLE ingest_partition (
    partition integer PRIMARY KEY CHECK (partition >= 0),
    epoch bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    owner text,
    claimed_at timestamptz,
    first_offset bigint NOT NULL CHECK (first_offset >= 0),
    next_offset bigint NOT NULL,
    frontier timestamptz NOT NULL DEFAULT '-infinity',
    newest_time timestamptz,
    last_offset bigint,
    last_timestamp timestamptz,
    last_hash bytea CHECK (length(last_hash) = 16),
    accepted bigint NOT NULL DEFAULT 0 CHECK (accepted >= 0),
    duplicate bigint NOT NULL DEFAULT 0 CHECK (duplicate >= 0),
    conflict bigint NOT NULL DEFAULT 0 CHECK (conflict >= 0),
    quarantined bigint NOT NULL DEFAULT 0 CHECK (quarantined >= 0),
    tick bigint NOT NULL DEFAULT 0 CHECK (tick >= 0),
    gap bigint NOT NULL DEFAULT 0 CHECK (gap >= 0),
    lost bigint NOT NULL DEFAULT 0 CHECK (lost >= 0),
    unmetered bigint NOT NULL DEFAULT 0 CHECK (unmetered BETWEEN 0 AND accepted),
    flushed_at timestamptz,
    CONSTRAINT every_offset_has_one_outcome CHECK (
        next_offset - first_offset = accepted + duplicate + conflict + quarantined + tick + gap + lost
    ),
    CONSTRAINT last_record_is_whole CHECK (
        num_nulls(last_offset, last_timestamp, last_hash) IN (0, 3) AND last_offset < next_offset
    )
) WITH (fillfactor = 50);

-- Operators' decisions, which a replay of the same log reads again.
CREATE TABLE clock_cap (
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    cap timestamptz NOT NULL CHECK (isfinite(cap)),
    reason text NOT NULL CHECK (reason <> ''),
    who text NOT NULL CHECK (who <> ''),
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, record_offset)
);

CREATE TABLE skipped (
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset > first_offset),
    reason text NOT NULL CHECK (reason <> ''),
    who text NOT NULL CHECK (who <> ''),
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, first_offset)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON clock_cap
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON skipped
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- migrate:down
DROP TABLE skipped, clock_cap, ingest_partition, usage_topic;
DROP FUNCTION refuse_change();
