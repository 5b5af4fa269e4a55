-- name: lock_migrations
SELECT pg_advisory_lock(hashtextextended('migrations of ' || current_setting('search_path'), 0))

-- name: unlock_migrations
SELECT pg_advisory_unlock(hashtextextended('migrations of ' || current_setting('search_path'), 0))

-- name: create_roles
-- Roles belong to the whole server: another database may be making them at this moment.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY[
        'metering_owner', 'metering_worker', 'metering_reader', 'metering_api', 'billing_reader'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
                IF role = 'metering_api' THEN
                    GRANT metering_reader TO metering_api;
                END IF;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- it is there now, which is all that was wanted
            END;
        END IF;
    END LOOP;
    IF NOT pg_has_role('metering_owner', 'SET') THEN
        GRANT metering_owner TO CURRENT_USER;
    END IF;
END $$

-- name: create_schema
-- And the one of its views, which lie apart so that their readers see nothing else.
DO $$
DECLARE
    path text[] := parse_ident(current_setting('search_path')); -- refuses a path of several schemas
    billing text := CASE path[1] WHEN 'metering' THEN 'billing' ELSE path[1] || '_billing' END;
BEGIN
    IF octet_length(billing) > 63 THEN
        RAISE EXCEPTION 'the schema''s name is too long: % would be cut', billing USING ERRCODE = 'name_too_long';
    END IF;
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I AUTHORIZATION metering_owner', path[1]);
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I AUTHORIZATION metering_owner', billing);
END $$

-- name: become_owner
SET LOCAL ROLE metering_owner

-- name: create_schema_migration
CREATE TABLE IF NOT EXISTS schema_migration (
    version integer PRIMARY KEY,
    name text NOT NULL,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    applied_at timestamptz NOT NULL DEFAULT now()
)

-- name: has_schema_migration
SELECT to_regclass('schema_migration') IS NOT NULL

-- name: applied_migrations
SELECT version, name, digest FROM schema_migration ORDER BY version

-- name: record_migration
INSERT INTO schema_migration (version, name, digest) VALUES ($1, $2, $3)

-- name: forget_migration
DELETE FROM schema_migration WHERE version = $1
