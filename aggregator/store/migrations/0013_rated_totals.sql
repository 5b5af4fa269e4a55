-- migrate:up
-- What a period comes to. A version is never changed: what comes later makes the next one. `json` keeps the
-- document's own bytes, whose SHA-256 stands beside them.
CREATE TABLE rated_total (
    subscription text COLLATE "C" NOT NULL,
    period_start timestamptz NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    customer text COLLATE "C" NOT NULL,
    period_end timestamptz NOT NULL CHECK (period_end > period_start),
    cut timestamptz NOT NULL, -- log time: the version holds exactly the adjustments that are older
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount numeric NOT NULL,
    unrounded_amount text NOT NULL CHECK (unrounded_amount ~ '^-?[0-9]+(\.[0-9]+|/[1-9][0-9]*)?$'),
    difference numeric CHECK ((difference IS NULL) = (version = 1)), -- to the version before
    subscription_version_ids integer[] NOT NULL CHECK (cardinality(subscription_version_ids) > 0),
    plan_version_ids integer[] NOT NULL CHECK (cardinality(plan_version_ids) > 0),
    meter_version_ids integer[] NOT NULL,
    feed_position bigint NOT NULL UNIQUE,
    rated_at timestamptz NOT NULL DEFAULT now(),
    digest bytea NOT NULL CHECK (digest = sha256(convert_to(document::text, 'UTF8'))),
    document json NOT NULL,
    PRIMARY KEY (subscription, period_start, version)
);
CREATE INDEX rated_total_by_customer ON rated_total (customer, period_start);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rated_total
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The first period of each subscription that has no version yet, and the log time at which it can have one.
CREATE TABLE subscription_rating (
    subscription text COLLATE "C" PRIMARY KEY,
    next_period_start timestamptz NOT NULL,
    due_at timestamptz NOT NULL -- infinity: no period will follow
);
CREATE INDEX subscription_rating_due ON subscription_rating (due_at, subscription);

-- Cuts that hold adjustments of periods that were rated before: looked at once every frontier has reached them.
CREATE TABLE pending_cut (
    subscription text COLLATE "C" NOT NULL,
    period_start timestamptz NOT NULL,
    cut timestamptz NOT NULL,
    PRIMARY KEY (subscription, period_start, cut)
);
CREATE INDEX pending_cut_due ON pending_cut (cut, subscription, period_start);

-- How far the rater has looked: adjustments by log time, and the versions that `subscription_rating` knows of.
CREATE TABLE rater_progress (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    adjusted_through timestamptz NOT NULL DEFAULT '-infinity',
    subscription_version_id integer NOT NULL DEFAULT 0,
    plan_version_id integer NOT NULL DEFAULT 0,
    meter_version_id integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO rater_progress DEFAULT VALUES;

-- A position is taken by updating the one row of `feed_head`, last in the writing transaction: its lock is held to
-- the end, so positions become visible in their order, and a rollback takes its positions back.
CREATE TABLE feed_head (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    position bigint NOT NULL DEFAULT 0 CHECK (position >= 0)
) WITH (fillfactor = 50);
INSERT INTO feed_head DEFAULT VALUES;

CREATE TABLE feed (
    position bigint PRIMARY KEY CHECK (position > 0),
    kind text NOT NULL CHECK (kind IN ('rated_total', 'threshold')),
    id text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    subscription text COLLATE "C" NOT NULL,
    payload json NOT NULL,
    UNIQUE (kind, id)
);
CREATE INDEX feed_by_customer ON feed (customer, position);
CREATE INDEX feed_by_kind ON feed (kind, position);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON feed
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- How much of the feed is known to lie in a Kafka topic: the topic itself knows better, for as long as it keeps it.
CREATE TABLE feed_push (
    topic text PRIMARY KEY,
    position bigint NOT NULL CHECK (position >= 0)
) WITH (fillfactor = 50);

-- A threshold is crossed once a period; `threshold` is its canonical text, such as `input 80%` or `amount 50`.
CREATE TABLE threshold_crossing (
    subscription text COLLATE "C" NOT NULL,
    period_start timestamptz NOT NULL,
    threshold text COLLATE "C" NOT NULL,
    feed_position bigint NOT NULL UNIQUE,
    crossed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription, period_start, threshold)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON threshold_crossing
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT ON
    rated_total, subscription_rating, pending_cut, rater_progress, feed_head, feed, feed_push, threshold_crossing
TO metering_worker, metering_reader;
GRANT INSERT ON
    rated_total, subscription_rating, pending_cut, feed, feed_push, threshold_crossing
TO metering_worker;
GRANT UPDATE (next_period_start, due_at) ON subscription_rating TO metering_worker;
GRANT UPDATE (adjusted_through, subscription_version_id, plan_version_id, meter_version_id) ON rater_progress
TO metering_worker;
GRANT UPDATE (position) ON feed_head, feed_push TO metering_worker;
GRANT DELETE ON pending_cut TO metering_worker; -- looked at

-- migrate:down
DROP TABLE threshold_crossing, feed_push, feed, feed_head, rater_progress, pending_cut, subscription_rating, rated_total;
