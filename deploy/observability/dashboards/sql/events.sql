SELECT u.window_start AS time, u.meter AS metric, sum(u.events) AS value
FROM billing.usage AS u
WHERE $__timeFilter(u.window_start) AND u.subject IN (
    SELECT jsonb_array_elements_text(s.definition -> 'subjects') FROM billing.subscription AS s
    WHERE s.customer = ${customer:sqlstring}
)
GROUP BY u.window_start, u.meter
ORDER BY u.window_start
