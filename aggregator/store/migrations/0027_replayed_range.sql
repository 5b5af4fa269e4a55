-- migrate:up
-- A replay of a range holds no usage of before `since`, but for what gauges carry in. Offsets before `compared_from`
-- it has read to know what is remembered, and for nothing else.
ALTER TABLE replay ADD COLUMN since timestamptz CHECK (isfinite(since)); -- null: of the whole log
ALTER TABLE replay_end ADD COLUMN compared_from bigint NOT NULL DEFAULT 0
    CHECK (compared_from BETWEEN 0 AND next_offset);

-- migrate:down
ALTER TABLE replay_end DROP COLUMN compared_from;
ALTER TABLE replay DROP COLUMN since;
