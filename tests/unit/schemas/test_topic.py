"""Topic contracts: what they ask of Kafka, and what they may not say."""

from pathlib import Path

import pytest

import schemas
from schemas.document import DocumentCode
from schemas.topic import TopicContract, TopicError, load_topic

USAGE_EVENTS = Path(schemas.__file__).parent / "topics" / "usage.events.yaml"


def problems(text: str) -> list[tuple[int, str, DocumentCode]]:
    with pytest.raises(TopicError) as error:
        load_topic(text, "topic.yaml")
    return [(line, path, code) for line, _, path, code, _ in error.value.problems]


def test_the_usage_topic() -> None:
    contract = load_topic(USAGE_EVENTS.read_text(), USAGE_EVENTS.name)
    assert contract.name == USAGE_EVENTS.stem
    assert (contract.partitions, contract.clock, contract.partitioner) == (6, "broker", "murmur2")
    assert (contract.replication_factor, contract.min_insync_replicas) == (3, 2)
    assert contract.acceptance_window_us == 48 * 3_600_000_000
    assert contract.skew_us == 300_000_000
    assert contract.repair_horizon_us == 35 * 86_400_000_000


def test_the_brokers_clock_stamps_records_at_the_append() -> None:
    configs = TopicContract(name="usage", partitions=1).configs()
    assert configs["message.timestamp.type"] == "LogAppendTime"
    assert configs["cleanup.policy"] == "delete"
    assert configs["retention.ms"] == str(30 * 86_400_000)
    assert configs["min.insync.replicas"] == "2"
    assert configs["unclean.leader.election.enable"] == "false"


def test_a_clock_of_records_keeps_records_however_old() -> None:
    configs = TopicContract(name="replay", partitions=1, clock="record", retention_ms=-1).configs()
    assert configs["message.timestamp.type"] == "CreateTime"
    assert configs["retention.ms"] == "-1"
    assert configs["message.timestamp.before.max.ms"] == str(2**63 - 1)


@pytest.mark.parametrize(
    ("line", "path", "code"),
    [
        ("clock: record", "", DocumentCode.CONTRADICTION),
        ("retention_ms: 172799999", "", DocumentCode.CONTRADICTION),
        ("min_insync_replicas: 4", "", DocumentCode.CONTRADICTION),
        ("repair_horizon_s: 172799", "", DocumentCode.CONTRADICTION),
        ("max_message_bytes: 262144", "max_message_bytes", DocumentCode.NOT_ALLOWED),
        ("partitioner: random", "partitioner", DocumentCode.NOT_ALLOWED),
        ("clock: wall", "clock", DocumentCode.NOT_ALLOWED),
        ("retention_ms: 30d", "retention_ms", DocumentCode.WRONG_TYPE),
        ("replicas: 3", "replicas", DocumentCode.UNKNOWN_KEY),
    ],
)
def test_what_a_contract_may_not_say(line: str, path: str, code: DocumentCode) -> None:
    expected_line = 3 if path else 1
    assert problems(f"name: usage\npartitions: 1\n{line}\n") == [(expected_line, path, code)]


@pytest.mark.parametrize("name", ["''", ".", "..", "a/b", "é", "x" * 250])
def test_what_kafka_would_not_name_a_topic(name: str) -> None:
    assert problems(f"name: {name}\npartitions: 1\n") == [(1, "name", DocumentCode.NOT_ALLOWED)]


@pytest.mark.parametrize(("brokers", "replicas", "in_sync"), [(1, 1, 1), (2, 2, 1), (3, 3, 2), (9, 3, 2)])
def test_a_small_cluster_gets_what_it_can_hold(brokers: int, replicas: int, in_sync: int) -> None:
    contract = load_topic(USAGE_EVENTS.read_text(), USAGE_EVENTS.name)
    small = contract.on_brokers(brokers)
    assert (small.replication_factor, small.min_insync_replicas) == (replicas, in_sync)
    assert small.on_brokers(9) == small
