-- migrate:up
-- Who may call the HTTP API. Of a token only its SHA-256 is kept: 256 random bits need no slower hash.
CREATE TABLE api_token (
    token_id text COLLATE "C" PRIMARY KEY CHECK (token_id ~ '^[0-9a-f]{12}$'),
    name text NOT NULL CHECK (name <> ''),
    digest bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    scopes text[] NOT NULL CHECK (
        cardinality(scopes) > 0
        AND scopes <@ ARRAY[
            'usage:read', 'rated:read', 'feed:read', 'plans:write', 'subscriptions:write', 'status:read'
        ]
    ),
    customers text[] COLLATE "C", -- null: every customer
    rotated_from text REFERENCES api_token,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL CHECK (created_by <> ''),
    expires_at timestamptz,
    revoked_at timestamptz,
    -- Whoever may write a subscription chooses whose usage it shows; status names everybody's subjects.
    CONSTRAINT some_customers_read_their_own CHECK (
        customers IS NULL
        OR cardinality(customers) > 0 AND NOT scopes && ARRAY['plans:write', 'subscriptions:write', 'status:read']
    )
);

-- A token's rights never change: only its end may come nearer.
CREATE FUNCTION only_end_token() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF (NEW.token_id, NEW.name, NEW.digest, NEW.scopes, NEW.customers, NEW.rotated_from, NEW.created_at, NEW.created_by)
        IS DISTINCT FROM
        (OLD.token_id, OLD.name, OLD.digest, OLD.scopes, OLD.customers, OLD.rotated_from, OLD.created_at, OLD.created_by)
    OR coalesce(NEW.expires_at, 'infinity') > coalesce(OLD.expires_at, 'infinity')
    OR coalesce(NEW.revoked_at, 'infinity') > coalesce(OLD.revoked_at, 'infinity') THEN
        RAISE EXCEPTION 'a token can only be ended' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER only_end BEFORE UPDATE ON api_token FOR EACH ROW EXECUTE FUNCTION only_end_token();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON api_token
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Every write by a person or by a token, written in the transaction of what it tells.
CREATE TABLE audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    who text NOT NULL CHECK (who <> ''),
    action text NOT NULL CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    target text NOT NULL CHECK (target <> ''),
    detail jsonb NOT NULL CHECK (jsonb_typeof(detail) = 'object')
);
CREATE INDEX audit_by_action ON audit (action, audit_id);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- metering_api is a member of metering_reader: it reads what people read. Beyond that it knows tokens' hashes, and
-- writes what its tokens may write.
DO $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO metering_api', current_schema());
END $$;
GRANT SELECT ON audit TO metering_reader;
GRANT SELECT ON api_token TO metering_api;
GRANT INSERT (who, action, target, detail) ON audit TO metering_api;
GRANT INSERT ON billing_apply, plan_version, subscription_version, subscription_subject TO metering_api;

-- migrate:down
REVOKE INSERT ON billing_apply, plan_version, subscription_version, subscription_subject FROM metering_api;
DO $$
BEGIN
    EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM metering_api', current_schema());
END $$;
DROP TABLE audit, api_token;
DROP FUNCTION only_end_token();
