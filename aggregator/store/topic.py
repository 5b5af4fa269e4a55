"""The one topic that a schema counts: fixed at the first apply, checked at every later one."""

import secrets
from collections.abc import Mapping
from typing import Final

from aggregator.state import TopicRules
from aggregator.store.connection import Connection
from aggregator.store.errors import TopicMismatch
from aggregator.store.load import topic_rules
from aggregator.store.statements import STATEMENTS
from schemas.topic import TopicContract

_FIXED: Final = (
    "name",
    "partitions",
    "clock",
    "partitioner",
    "acceptance_window_us",
    "skew_us",
    "repair_horizon_us",
)


def differences(contract: TopicContract, rules: TopicRules) -> list[str]:
    """What a contract says otherwise than the rules that the schema counts by, in words."""
    return [
        f"`{field}` is {getattr(rules, field)}, not {getattr(contract, field)}"
        for field in _FIXED
        if getattr(rules, field) != getattr(contract, field)
    ]


async def apply(
    connection: Connection, contract: TopicContract, beginning_offsets: Mapping[int, int]
) -> TopicRules:
    """Make the schema count this topic, or check that it does.

    The first apply draws the identity key and makes a row per partition, at its beginning offset.

    Args:
        connection: with the owner's rights.
        contract: of the topic.
        beginning_offsets: where each partition's log begins; read at the first apply only.

    Raises:
        TopicMismatch: the schema counts by other rules.
        ValueError: the offsets are not those of exactly the contract's partitions.
    """
    async with connection.transaction():
        is_first = await connection.fetchval(
            STATEMENTS["insert_topic"],
            *(getattr(contract, field) for field in _FIXED),
            secrets.token_bytes(16),
        )
        if is_first is not None:
            if sorted(beginning_offsets) != list(range(contract.partitions)):
                raise ValueError(f"beginning offsets of partitions {sorted(beginning_offsets)}")
            await connection.execute(
                STATEMENTS["insert_partitions"], list(beginning_offsets), list(beginning_offsets.values())
            )
        rules = await topic_rules(connection)
        different = differences(contract, rules)
        if different:
            raise TopicMismatch(f"this schema counts by other rules: {'; '.join(different)}")
    return rules
