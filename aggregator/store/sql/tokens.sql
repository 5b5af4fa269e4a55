-- name: insert_token
INSERT INTO api_token (token_id, name, digest, scopes, customers, rotated_from, created_by, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now() + $8::interval)
RETURNING
    token_id, name, scopes, customers, rotated_from, created_at, created_by, expires_at, revoked_at, true AS is_live

-- name: live_token
-- What a request's token may do; no row if it has ended.
SELECT t.token_id, t.name, t.digest, t.scopes, t.customers
FROM api_token AS t
WHERE t.token_id = $1
    AND coalesce(t.expires_at > now(), true)
    AND coalesce(t.revoked_at > now(), true)

-- name: tokens
SELECT
    t.token_id, t.name, t.scopes, t.customers, t.rotated_from, t.created_at, t.created_by, t.expires_at, t.revoked_at,
    coalesce(t.expires_at > now(), true) AND coalesce(t.revoked_at > now(), true) AS is_live
FROM api_token AS t
WHERE $1::text IS NULL OR t.token_id = $1
ORDER BY t.created_at, t.token_id

-- name: end_token_after
-- The old token of a rotation goes on for a while, so that its bearer can change over.
UPDATE api_token SET expires_at = least(expires_at, now() + $2::interval)
WHERE token_id = $1
RETURNING token_id

-- name: revoke_token
UPDATE api_token SET revoked_at = now()
WHERE token_id = $1 AND revoked_at IS NULL
RETURNING token_id
