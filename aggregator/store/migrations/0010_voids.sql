-- migrate:up
SELECT;

-- migrate:down
SELECT;
