-- name: usage_subjects
-- $1: a meter's versions; $2: the first subject; $3: only these, null for every one; $4: how many.
-- Each version's subjects by its index, then the first of all of these.
SELECT DISTINCT one.subject
FROM unnest($1::integer[]) AS v (meter_version_id)
CROSS JOIN LATERAL (
    SELECT DISTINCT s.subject
    FROM series AS s
    WHERE s.meter_version_id = v.meter_version_id AND s.subject >= $2
        AND ($3::text[] IS NULL OR s.subject = ANY ($3::text[]))
    ORDER BY s.subject
    LIMIT $4
) AS one
ORDER BY one.subject
LIMIT $4
