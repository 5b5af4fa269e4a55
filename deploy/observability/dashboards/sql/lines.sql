SELECT
    l.subscription, l.period_start, l.charge, l.meter, l.groups::text AS groups, l.kind, l.quantity, l.billable,
    l.unrounded_amount, l.currency
FROM billing.rated_line AS l
JOIN billing.rated_total AS t USING (subscription, period_start, version)
WHERE l.customer = ${customer:sqlstring} AND t.is_newest AND $__timeFilter(l.period_start)
ORDER BY l.period_start DESC, l.subscription, l.charge
LIMIT 500
