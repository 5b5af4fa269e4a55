-- migrate:up
-- Why an owner has set a partition aside. A stop stands for as long as the partition has that epoch: whoever claims
-- it next looks at the log anew, and a skip or a cap raises the epoch too.
CREATE TABLE partition_stop (
    partition integer NOT NULL,
    epoch bigint NOT NULL,
    record_offset bigint NOT NULL,
    code text NOT NULL CHECK (code <> ''),
    seen text NOT NULL,
    stopped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, epoch)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON partition_stop
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON partition_stop TO metering_worker;
GRANT SELECT ON partition_stop TO metering_reader;

-- migrate:down
DROP TABLE partition_stop;
