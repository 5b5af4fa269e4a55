"""The local stack: a real Kafka and a real Postgres, for development and for tests."""
