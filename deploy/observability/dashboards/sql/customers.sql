SELECT DISTINCT customer FROM billing.subscription ORDER BY customer
