-- migrate:up
-- In which minutes of log time each source was heard in a partition, as the owner's flushes say: 60 bits an hour. The
-- first 200 sources of a partition have their names, the rest are told of together under the empty one, with how many
-- there were in one batch. Bounded: 15 days are kept, so it need not be partitioned by time.
CREATE TABLE source_activity (
    partition integer NOT NULL,
    hour timestamptz NOT NULL,
    source text NOT NULL,
    minutes bigint NOT NULL CHECK (minutes > 0),
    others integer NOT NULL CHECK (others >= 0),
    PRIMARY KEY (partition, hour, source)
) WITH (fillfactor = 70);

GRANT SELECT, INSERT, UPDATE (minutes, others), DELETE ON source_activity TO metering_worker;
GRANT SELECT ON source_activity TO metering_reader;

-- migrate:down
DROP TABLE source_activity;
