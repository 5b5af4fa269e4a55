-- migrate:up
SELECT set_config('search_path', format('%I, pg_temp', current_schema()), true);

-- A token may decide about refused records, whoever sent them.
ALTER TABLE api_token
    DROP CONSTRAINT api_token_scopes_check,
    DROP CONSTRAINT some_customers_read_their_own,
    ADD CONSTRAINT api_token_scopes_check CHECK (
        cardinality(scopes) > 0
        AND scopes <@ ARRAY[
            'usage:read', 'rated:read', 'feed:read', 'plans:write', 'subscriptions:write', 'status:read',
            'quarantine:write'
        ]
    ),
    ADD CONSTRAINT some_customers_read_their_own CHECK (
        customers IS NULL
        OR cardinality(customers) > 0
            AND NOT scopes && ARRAY['plans:write', 'subscriptions:write', 'status:read', 'quarantine:write']
    );

-- To decide is to read what was refused, and to add: neither a decision nor a refused record can be changed.
GRANT SELECT (key, value, headers) ON quarantine TO metering_api;
GRANT INSERT (partition, meter_version_id, record_offset, attempt, action, who, reason, key, value, headers)
ON quarantine_action TO metering_api;
GRANT INSERT (action_id, target_partition) ON redrive_outbox TO metering_api;

-- migrate:down
REVOKE INSERT (action_id, target_partition) ON redrive_outbox FROM metering_api;
REVOKE INSERT (partition, meter_version_id, record_offset, attempt, action, who, reason, key, value, headers)
ON quarantine_action FROM metering_api;
REVOKE SELECT (key, value, headers) ON quarantine FROM metering_api;
-- Tokens cannot be taken away, only ended: those that may decide keep the scope, which nothing asks for any more.
ALTER TABLE api_token
    DROP CONSTRAINT api_token_scopes_check,
    DROP CONSTRAINT some_customers_read_their_own,
    ADD CONSTRAINT api_token_scopes_check CHECK (
        cardinality(scopes) > 0
        AND scopes <@ ARRAY[
            'usage:read', 'rated:read', 'feed:read', 'plans:write', 'subscriptions:write', 'status:read'
        ]
    ) NOT VALID,
    ADD CONSTRAINT some_customers_read_their_own CHECK (
        customers IS NULL
        OR cardinality(customers) > 0 AND NOT scopes && ARRAY['plans:write', 'subscriptions:write', 'status:read']
    );
