SELECT n.day, n.meter, n.subject, n.groups::text AS groups, n.reason, n.events, n.value::text AS value
FROM billing.unrated_usage AS n
WHERE $__timeFilter(n.first_window) AND n.subject IN (
    SELECT jsonb_array_elements_text(s.definition -> 'subjects') FROM billing.subscription AS s
    WHERE s.customer = ${customer:sqlstring}
)
ORDER BY n.day DESC, n.meter, n.subject
LIMIT 500
