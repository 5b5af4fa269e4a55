-- migrate:up
CREATE TABLE catalog_apply (
    head integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by text NOT NULL CHECK (applied_by <> ''),
    digest bytea NOT NULL CHECK (length(digest) = 32)
);

-- A version is in force from its effective_from (event time) to that of the next version of the same meter.
CREATE TABLE meter_version (
    meter_version_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    meter text NOT NULL CHECK (meter <> ''),
    version integer NOT NULL CHECK (version > 0),
    definition jsonb NOT NULL CHECK (jsonb_typeof(definition) = 'object'),
    effective_from timestamptz NOT NULL CHECK (effective_from < 'infinity'),
    retired boolean NOT NULL,
    apply_head integer NOT NULL REFERENCES catalog_apply,
    UNIQUE (meter, version)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON catalog_apply
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON meter_version
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- migrate:down
DROP TABLE meter_version, catalog_apply;
