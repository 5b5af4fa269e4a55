SELECT
    t.subscription, t.period_start, t.version, t.is_newest, t.amount::text AS amount,
    t.difference::text AS difference, t.currency, t.cut
FROM billing.rated_total AS t
WHERE t.customer = ${customer:sqlstring} AND $__timeFilter(t.period_start)
ORDER BY t.period_start DESC, t.subscription, t.version DESC
LIMIT 500
