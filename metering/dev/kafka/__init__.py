"""A local Kafka: brokers in KRaft mode, as processes of this machine."""
