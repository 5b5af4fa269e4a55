-- migrate:up
SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- A wrong price of what is rated is corrected by versions that a replay was rated on, and that were promoted: cuts after
-- the log time known_from know them, those before do not, whenever they are rated. Null: every cut knows it.
ALTER TABLE plan_version
    ADD COLUMN known_from timestamptz,
    ADD CONSTRAINT first_version_is_known CHECK (known_from IS NULL OR (isfinite(known_from) AND version > 1));
ALTER TABLE subscription_version
    ADD COLUMN known_from timestamptz,
    ADD CONSTRAINT first_version_is_known CHECK (known_from IS NULL OR (isfinite(known_from) AND version > 1));
CREATE INDEX plan_version_promoted ON plan_version (known_from) WHERE known_from IS NOT NULL;
CREATE INDEX subscription_version_promoted ON subscription_version (known_from) WHERE known_from IS NOT NULL;

-- What a cut that the closing has reached holds was rated, and never changes.
CREATE FUNCTION refuse_known_before_closing() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.known_from < (SELECT c.log_time FROM closing AS c) THEN
        RAISE EXCEPTION 'what is rated stays: a version of % would be known from % on, before the closing', TG_TABLE_NAME,
            NEW.known_from USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER known_from_now_on BEFORE INSERT ON plan_version FOR EACH ROW WHEN (NEW.known_from IS NOT NULL)
EXECUTE FUNCTION refuse_known_before_closing();
CREATE TRIGGER known_from_now_on BEFORE INSERT ON subscription_version FOR EACH ROW WHEN (NEW.known_from IS NOT NULL)
EXECUTE FUNCTION refuse_known_before_closing();

-- Who promoted the versions of a revision, why, and on what evidence: `correction` says it of rows beside windows.
CREATE TABLE terms_promotion (
    revision integer PRIMARY KEY REFERENCES billing_apply,
    known_from timestamptz NOT NULL CHECK (isfinite(known_from)),
    who text NOT NULL CHECK (who <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    shadow_schema text NOT NULL CHECK (shadow_schema <> ''),
    evidence bytea NOT NULL CHECK (length(evidence) = 32), -- SHA-256 of what `metering promote` prints
    promoted_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON terms_promotion
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT ON terms_promotion TO metering_worker, metering_reader;

-- migrate:down
DROP TABLE terms_promotion;
DROP TRIGGER known_from_now_on ON subscription_version;
DROP TRIGGER known_from_now_on ON plan_version;
DROP FUNCTION refuse_known_before_closing();
ALTER TABLE subscription_version DROP CONSTRAINT first_version_is_known, DROP COLUMN known_from;
ALTER TABLE plan_version DROP CONSTRAINT first_version_is_known, DROP COLUMN known_from;
