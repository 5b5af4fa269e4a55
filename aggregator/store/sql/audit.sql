-- name: insert_audit
INSERT INTO audit (who, action, target, detail) VALUES ($1, $2, $3, $4)

-- name: audit_entries
-- $1: only this action; $2: only this target; $3: only before this id; $4: how many; the newest first.
SELECT a.audit_id, a.at, a.who, a.action, a.target, a.detail
FROM audit AS a
WHERE ($1::text IS NULL OR a.action = $1)
    AND ($2::text IS NULL OR a.target = $2)
    AND ($3::bigint IS NULL OR a.audit_id < $3)
ORDER BY a.audit_id DESC
LIMIT $4

-- name: insert_audits
INSERT INTO audit (who, action, target, detail)
SELECT $1, $2, g.target, g.detail::jsonb
FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS g (target, detail, place)
ORDER BY g.place
