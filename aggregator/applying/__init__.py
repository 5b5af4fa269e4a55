"""What applying a catalog would change, from when, and why it may not: of meters, plans and subscriptions."""
