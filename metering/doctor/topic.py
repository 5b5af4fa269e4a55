"""The topic on the brokers, against its contract and against what is counted of it."""

from collections.abc import Mapping, Sequence
from typing import Final

from aggregator.health.severity import Severity
from metering.broker import TOPIC_MISSING
from metering.doctor.check import Check, Result, found, holds, judged
from metering.settings import Settings
from metering.texts import duration_text
from metering.topics import (
    CLOCK_CONFIG,
    CONFIG_DIFFERS,
    REPLICATION_DIFFERS,
    TOPIC_NOT_APPLIED,
    Difference,
    TopicState,
)
from schemas.codes import Code
from schemas.topic import UNLIMITED

TOPIC_EXISTS: Final = Check(
    "topic_exists",
    Severity.CRITICAL,
    "The topic is on the brokers, and the schema counts it.",
    "Run `metering topics apply`; if it was there before, somebody has deleted it: see `log_replaced`.",
)
PARTITION_COUNT: Final = Check(
    "partition_count",
    Severity.CRITICAL,
    "The topic has as many partitions as when it was applied.",
    "Partitions cannot be taken away again: hand over to a new topic and schema.",
)
TOPIC_RULES: Final = Check(
    "topic_rules",
    Severity.CRITICAL,
    "The schema counts by the rules of this contract.",
    "Correct METERING_TOPIC, METERING_TOPIC_FILE or METERING_POSTGRES_SCHEMA.",
)
TOPIC_CLOCK: Final = Check(
    "topic_clock",
    Severity.CRITICAL,
    "Records carry the clock that the contract names.",
    "Run `metering topics apply`; records written meanwhile cannot be counted from this log.",
)
TOPIC_CONFIG: Final = Check(
    "topic_config",
    Severity.WARNING,
    "The topic's configs are those of its contract.",
    "Run `metering topics apply`, or correct the contract.",
)
REPLICATION: Final = Check(
    "replication",
    Severity.WARNING,
    "Each partition has as many replicas as the contract asks for.",
    "Reassign the partitions with the brokers' own tools: usage lies on too few disks.",
)
RETENTION: Final = Check(
    "retention",
    Severity.CRITICAL,
    "The log is kept for longer than an event may be late.",
    "Raise `retention_ms` in the contract and run `metering topics apply`.",
)
HORIZON: Final = Check(
    "horizon",
    Severity.INFO,
    "The log is kept for as long as a record can be repaired, so all of that can be explained too.",
    "Raise `retention_ms` if totals have to be explained or replayed after a longer time.",
)
CHECKS: Final = (
    TOPIC_EXISTS,
    PARTITION_COUNT,
    TOPIC_RULES,
    TOPIC_CLOCK,
    TOPIC_CONFIG,
    REPLICATION,
    RETENTION,
    HORIZON,
)


def examine(settings: Settings, state: TopicState) -> list[Result]:
    """Sort what differs by what it means."""
    by_check: dict[Check, list[Difference]] = {check: [] for check in CHECKS}
    for difference in state.differences:
        check = _check_of(difference)
        # Without the topic's own contract, only what the database knows of it can be wrong.
        if settings.topic_file is not None or check not in (TOPIC_CONFIG, REPLICATION):
            by_check[check].append(difference)
    contract = [check for check in CHECKS if check not in (RETENTION, HORIZON)]
    return [*(judged(check, _rows(by_check[check])) for check in contract), *_retention(state)]


def retention_us(state: TopicState) -> int | None:
    """How long the brokers keep records; None: for ever, or there is no topic."""
    kept_ms = UNLIMITED if state.on_brokers is None else int(state.on_brokers.configs["retention.ms"])
    return None if kept_ms == UNLIMITED else kept_ms * 1000


def _check_of(difference: Difference) -> Check:
    if difference.what == f"config {CLOCK_CONFIG}":
        return TOPIC_CLOCK
    return {
        TOPIC_MISSING: TOPIC_EXISTS,
        TOPIC_NOT_APPLIED: TOPIC_EXISTS,
        Code.PARTITION_COUNT_CHANGED: PARTITION_COUNT,
        CONFIG_DIFFERS: TOPIC_CONFIG,
        REPLICATION_DIFFERS: REPLICATION,
    }.get(difference.code, TOPIC_RULES)


def _rows(differences: Sequence[Difference]) -> list[Mapping[str, object]]:
    return [one._asdict() for one in differences]


def _retention(state: TopicState) -> list[Result]:
    contract, kept_us = state.contract, retention_us(state)
    if kept_us is None:
        return [holds(RETENTION), holds(HORIZON)]
    kept = f"The log is kept for {duration_text(kept_us)}"
    window = duration_text(contract.acceptance_window_us)
    horizon = duration_text(contract.repair_horizon_us)
    is_kept = kept_us >= contract.acceptance_window_us
    reaches = kept_us >= contract.repair_horizon_us
    return [
        holds(RETENTION) if is_kept else found(RETENTION, f"{kept}; events may be {window} late."),
        holds(HORIZON) if reaches else found(HORIZON, f"{kept}, so explained; repairs reach back {horizon}."),
    ]
