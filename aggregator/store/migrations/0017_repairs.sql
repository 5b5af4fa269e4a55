-- migrate:up
-- Where each counted repair record says that it was refused first: `metering doctor` looks for it in quarantine, for
-- anybody who may write to the topic could claim to repair, and be admitted long after the acceptance window.
CREATE TABLE counted_repair (
    partition integer NOT NULL,
    meter_version_id integer NOT NULL,
    record_offset bigint NOT NULL,
    origin_offset bigint NOT NULL,
    origin_partition integer NOT NULL,
    origin_code text NOT NULL,
    PRIMARY KEY (partition, record_offset)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON counted_repair
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON counted_repair TO metering_worker;
GRANT SELECT ON counted_repair TO metering_reader;

-- migrate:down
DROP TABLE counted_repair;
