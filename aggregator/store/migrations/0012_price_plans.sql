-- migrate:up
-- What is charged, and whom. Counting does not depend on it, so it has a head of its own: applying a plan or a
-- subscription never makes a worker fold again.
CREATE TABLE billing_apply (
    revision integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by text NOT NULL CHECK (applied_by <> ''),
    digest bytea NOT NULL CHECK (length(digest) = 32)
);

-- At any instant the greatest version holds of those whose effective_from has come. They are written under the
-- exclusive billing lock, so ids become visible in their order.
CREATE TABLE plan_version (
    plan_version_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan text COLLATE "C" NOT NULL CHECK (plan <> ''),
    version integer NOT NULL CHECK (version > 0),
    definition jsonb NOT NULL CHECK (jsonb_typeof(definition) = 'object'),
    effective_from timestamptz NOT NULL CHECK (effective_from < 'infinity'),
    retired boolean NOT NULL,
    revision integer NOT NULL REFERENCES billing_apply,
    UNIQUE (plan, version)
);

-- `customer` is the same in every version; `plan` and `customer` repeat the definition, to be found by.
CREATE TABLE subscription_version (
    subscription_version_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription text COLLATE "C" NOT NULL CHECK (subscription <> ''),
    version integer NOT NULL CHECK (version > 0),
    customer text COLLATE "C" NOT NULL CHECK (customer <> ''),
    plan text COLLATE "C" NOT NULL,
    definition jsonb NOT NULL CHECK (
        jsonb_typeof(definition) = 'object'
        AND definition ->> 'customer' = customer
        AND definition ->> 'plan' = plan
    ),
    effective_from timestamptz NOT NULL CHECK (effective_from < 'infinity'),
    retired boolean NOT NULL,
    revision integer NOT NULL REFERENCES billing_apply,
    UNIQUE (subscription, version)
);
CREATE INDEX subscription_version_by_plan ON subscription_version (plan, subscription);
CREATE INDEX subscription_version_by_customer ON subscription_version (customer, subscription);

-- Every subject that any version of a subscription has ever named.
CREATE TABLE subscription_subject (
    subject text COLLATE "C" NOT NULL CHECK (subject <> ''),
    subscription text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    PRIMARY KEY (subject, subscription)
);
CREATE INDEX subscription_subject_by_customer ON subscription_subject (customer, subject);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_apply
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON plan_version
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON subscription_version
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON subscription_subject
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT ON billing_apply, plan_version, subscription_version, subscription_subject
TO metering_worker, metering_reader;

-- migrate:down
DROP TABLE subscription_subject, subscription_version, plan_version, billing_apply;
