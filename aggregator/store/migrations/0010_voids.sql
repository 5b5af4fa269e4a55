-- migrate:up
-- What is not in a window stands beside it, signed: an event that came late, an event that was withdrawn, or a
-- difference that a promoted replay has found. `events` and the value of a `sum` are what the row adds.
ALTER TABLE adjustment
    ADD COLUMN kind text NOT NULL DEFAULT 'late' CHECK (kind IN ('late', 'void', 'correction')),
    ADD COLUMN events bigint NOT NULL DEFAULT 1,
    ADD CONSTRAINT kind_has_its_sign CHECK (kind = 'correction' OR events = CASE kind WHEN 'late' THEN 1 ELSE -1 END);
ALTER TABLE adjustment ALTER COLUMN kind DROP DEFAULT, ALTER COLUMN events DROP DEFAULT;
CREATE INDEX adjustment_by_log_time ON adjustment (log_time);

ALTER TABLE batch_meter
    ADD COLUMN voids bigint NOT NULL DEFAULT 0 CHECK (voids >= 0),
    ADD COLUMN void_sum numeric NOT NULL DEFAULT 0,
    DROP CONSTRAINT every_match_has_one_outcome;
ALTER TABLE batch_meter ADD CONSTRAINT every_match_has_one_outcome
    CHECK (matched = increments + adjustments + voids + errors);

-- migrate:down
ALTER TABLE batch_meter DROP CONSTRAINT every_match_has_one_outcome, DROP COLUMN voids, DROP COLUMN void_sum;
ALTER TABLE batch_meter ADD CONSTRAINT every_match_has_one_outcome
    CHECK (matched = increments + adjustments + errors);
DROP INDEX adjustment_by_log_time;
ALTER TABLE adjustment DROP CONSTRAINT kind_has_its_sign, DROP COLUMN kind, DROP COLUMN events;
