-- migrate:up
SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- What the auditor has proved: one row per step and kind of check. `findings` are all that are open after it, the first
-- hundred of them in full, so the newest row of each kind says how things stand, also to an auditor that starts anew.
CREATE TABLE proof (
    what text NOT NULL CHECK (what IN ('windows', 'ledger', 'totals', 'log')),
    proof_id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    checked bigint NOT NULL CHECK (checked >= 0),
    wrong bigint NOT NULL CHECK (wrong BETWEEN 0 AND checked),
    unreadable bigint NOT NULL CHECK (unreadable >= 0),
    findings jsonb NOT NULL CHECK (jsonb_typeof(findings) = 'array'),
    PRIMARY KEY (what, proof_id)
);

CREATE FUNCTION refuse_recent_proof() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF OLD.at > now() - interval '7 days' THEN
        RAISE EXCEPTION 'a proof is kept for seven days' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON proof FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER kept BEFORE DELETE ON proof FOR EACH ROW EXECUTE FUNCTION refuse_recent_proof();

GRANT SELECT, INSERT, DELETE ON proof TO metering_worker;
GRANT SELECT ON proof TO metering_reader;

-- migrate:down
DROP TABLE proof;
DROP FUNCTION refuse_recent_proof();
