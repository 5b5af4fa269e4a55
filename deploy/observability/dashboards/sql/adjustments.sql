SELECT
    a.log_time, a.kind, a.meter, a.subject, a.groups::text AS groups, a.window_start, a.events,
    a.value::text AS value, a.partition, a.record_offset
FROM billing.adjustment AS a
WHERE $__timeFilter(a.window_start) AND a.subject IN (
    SELECT jsonb_array_elements_text(s.definition -> 'subjects') FROM billing.subscription AS s
    WHERE s.customer = ${customer:sqlstring}
)
ORDER BY a.log_time DESC
LIMIT 500
