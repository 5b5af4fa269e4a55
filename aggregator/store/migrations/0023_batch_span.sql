-- migrate:up
-- The span of a batch within its trace, so that who rates on it can link to it. It is null where nothing was traced.
ALTER TABLE batch ADD COLUMN span_id text;

-- migrate:down
ALTER TABLE batch DROP COLUMN span_id;
