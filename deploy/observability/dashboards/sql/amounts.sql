SELECT t.period_start AS time, concat(t.subscription, ' (', t.currency, ')') AS metric, t.amount AS value
FROM billing.rated_total AS t
WHERE t.customer = ${customer:sqlstring} AND t.is_newest AND $__timeFilter(t.period_start)
ORDER BY t.period_start
