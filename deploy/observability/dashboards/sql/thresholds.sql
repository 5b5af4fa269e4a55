SELECT f.position, f.subscription, f.payload::text AS payload
FROM billing.feed AS f
WHERE f.customer = ${customer:sqlstring} AND f.kind = 'threshold'
ORDER BY f.position DESC
LIMIT 100
