-- name: take_feed_positions
-- Holds the one row until the transaction ends: so whoever sees a position sees all that are smaller.
UPDATE feed_head SET position = position + $1 RETURNING position

-- name: insert_feed
INSERT INTO feed (position, kind, id, customer, subscription, payload)
SELECT g.position, g.kind, g.id, g.customer, g.subscription, g.payload::json
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS g (position, kind, id, customer, subscription, payload)

-- name: read_feed
SELECT f.position, f.kind, f.id, f.customer, f.subscription, f.payload::text AS payload
FROM feed AS f
WHERE f.position > $1
ORDER BY f.position
LIMIT $2

-- name: read_feed_of_customers
-- $3: customers; $4: kinds. Each customer's entries by their index, then the first of all of these.
SELECT f.position, f.kind, f.id, f.customer, f.subscription, f.payload::text AS payload
FROM unnest($3::text[]) AS c (customer)
CROSS JOIN LATERAL (
    SELECT f.*
    FROM feed AS f
    WHERE f.customer = c.customer AND f.position > $1 AND f.kind = ANY ($4::text[])
    ORDER BY f.position
    LIMIT $2
) AS f
ORDER BY f.position
LIMIT $2

-- name: read_feed_of_kind
SELECT f.position, f.kind, f.id, f.customer, f.subscription, f.payload::text AS payload
FROM feed AS f
WHERE f.kind = $3 AND f.position > $1
ORDER BY f.position
LIMIT $2

-- name: feed_end
SELECT position FROM feed_head

-- name: pushed_position
SELECT coalesce(max(p.position), 0) FROM feed_push AS p WHERE p.topic = $1

-- name: move_pushed_position
INSERT INTO feed_push (topic, position) VALUES ($1, $2)
ON CONFLICT (topic) DO UPDATE SET position = excluded.position WHERE feed_push.position < excluded.position
