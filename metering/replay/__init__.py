"""Counts a log a second time, beside the schema that counted it, and says what differs.

A replay is the worker's own intake, fold and flush, without what makes a worker a member of something: no
consumer group, no ticks, no outbox, no offsets mirrored to Kafka. It publishes nothing and changes nothing
of the schema that it repeats.
"""
