-- migrate:up
-- Every point of a gauge that came on time, for its windows are integrated and not only read. Points of one time are
-- ordered by their offsets: the last one stands. Never changed; a point that is withdrawn is so by an adjustment.
CREATE TABLE window_point (
    series_id bigint NOT NULL,
    window_start timestamptz NOT NULL,
    point_time timestamptz NOT NULL,
    point_offset bigint NOT NULL,
    shard integer NOT NULL,
    value numeric NOT NULL,
    PRIMARY KEY (series_id, window_start, shard, point_time, point_offset),
    CONSTRAINT point_is_in_its_window CHECK (point_time >= window_start)
) PARTITION BY RANGE (window_start);

INSERT INTO time_partitioned VALUES ('window_point', 'month', '', false);
SELECT guard_windows('window_point');

GRANT SELECT, INSERT ON window_point TO metering_worker;
GRANT SELECT ON window_point TO metering_reader;

-- migrate:down
DROP TABLE window_point;
DELETE FROM time_partitioned WHERE kind = 'window_point';
