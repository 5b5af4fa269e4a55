-- migrate:up
-- A row per flush and partition; ranges join without a gap. log_time is the frontier after the batch, so that
-- old months can be set aside whole; -infinity (no record yet) lies in the lowest time partition.
CREATE TABLE batch (
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    next_offset bigint NOT NULL,
    epoch bigint NOT NULL,
    log_time timestamptz NOT NULL,
    accepted bigint NOT NULL CHECK (accepted >= 0),
    duplicate bigint NOT NULL CHECK (duplicate >= 0),
    conflict bigint NOT NULL CHECK (conflict >= 0),
    quarantined bigint NOT NULL CHECK (quarantined >= 0),
    tick bigint NOT NULL CHECK (tick >= 0),
    gap bigint NOT NULL CHECK (gap >= 0),
    lost bigint NOT NULL CHECK (lost >= 0),
    unmetered bigint NOT NULL CHECK (unmetered BETWEEN 0 AND accepted),
    late_by_pipeline bigint NOT NULL CHECK (late_by_pipeline BETWEEN 0 AND accepted),
    catalog_head integer NOT NULL,
    trace_id text,
    worker text NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, first_offset, log_time),
    CONSTRAINT range_is_not_empty CHECK (next_offset > first_offset),
    CONSTRAINT every_offset_has_one_outcome CHECK (
        next_offset - first_offset = accepted + duplicate + conflict + quarantined + tick + gap + lost
    )
) PARTITION BY RANGE (log_time);
CREATE TABLE batch_lowest PARTITION OF batch FOR VALUES FROM (MINVALUE) TO ('1970-01-01 00:00:00+00');

-- The second ledger: what each meter version made of a batch's accepted events.
-- No foreign keys here or on other tables of the hot path: each check would lock a catalog row and write WAL for
-- it. `metering doctor` checks the same afterwards.
CREATE TABLE batch_meter (
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    log_time timestamptz NOT NULL,
    meter_version_id integer NOT NULL,
    matched bigint NOT NULL,
    increments bigint NOT NULL CHECK (increments >= 0),
    adjustments bigint NOT NULL CHECK (adjustments >= 0),
    errors bigint NOT NULL CHECK (errors >= 0),
    increment_sum numeric NOT NULL,
    adjustment_sum numeric NOT NULL,
    PRIMARY KEY (partition, first_offset, meter_version_id, log_time),
    CONSTRAINT every_match_has_one_outcome CHECK (matched = increments + adjustments + errors)
) PARTITION BY RANGE (log_time);
CREATE TABLE batch_meter_lowest PARTITION OF batch_meter FOR VALUES FROM (MINVALUE) TO ('1970-01-01 00:00:00+00');

-- migrate:down
DROP TABLE batch_meter, batch;
