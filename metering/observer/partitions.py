"""What is reported of partitions, of all of them together, and of their logs."""

from collections.abc import Sequence
from typing import Final

from aggregator.health.group import group_state
from aggregator.health.partition import State
from metering.observer.counted import Accounts
from metering.observer.look import Standing
from metering.observer.report import Report
from metering.telemetry import catalogue

GAUGES: Final = (
    catalogue.LAG_RECORDS,
    catalogue.LAG_SECONDS,
    catalogue.FRONTIER,
    catalogue.FRONTIER_BEHIND,
    catalogue.STOPPED_PARTITIONS,
    catalogue.PARTITION_STATE,
    catalogue.GROUP_STATE,
    catalogue.PARTITION_OWNED,
    catalogue.RETENTION_LEFT,
    catalogue.LOG_KEPT,
    catalogue.LOG_AHEAD,
)


def report_partitions(
    report: Report, accounts: Accounts, standings: Sequence[Standing], retention_us: int | None
) -> None:
    """Say how each partition does, and the group.

    Args:
        report: that speaks of `GAUGES`.
        accounts: what the database says.
        standings: the same, with the brokers' word.
        retention_us: how long Kafka keeps records; None: for ever, or it is not known.
    """
    for one in standings:
        _report_partition(report, accounts, one, retention_us)
    for stop in accounts.stops:
        report.add(catalogue.STOPPED_PARTITIONS, 1, partition=stop.partition, code=stop.code)
    group = group_state({one.status.partition: one.state for one in standings})
    for state in State:
        if group is not None:
            report.add(catalogue.GROUP_STATE, int(group.state is state), state=state.value)


def _report_partition(report: Report, accounts: Accounts, one: Standing, retention_us: int | None) -> None:
    row, log, partition = one.status, one.log, one.status.partition
    report.add(catalogue.LAG_RECORDS, one.lag_records, partition=partition)
    report.add(catalogue.LAG_SECONDS, _seconds(one.lag_us), partition=partition)
    report.add(catalogue.FRONTIER, _seconds(row.frontier_us), partition=partition)
    report.add(catalogue.FRONTIER_BEHIND, _seconds(accounts.behind_us(row)), partition=partition)
    report.add(catalogue.PARTITION_OWNED, int(row.is_connected), partition=partition)
    for state in State:
        if one.state is not None:
            report.add(
                catalogue.PARTITION_STATE, int(one.state is state), partition=partition, state=state.value
            )
    if log is not None:
        report.add(catalogue.LOG_KEPT, row.next_offset - log.start_offset, partition=partition)
        if log.newest_us is not None and accounts.topic is not None and accounts.topic.times_are_appends:
            ahead_us = max(0, log.newest_us - row.read_us)
            report.add(catalogue.LOG_AHEAD, ahead_us / 1e6, partition=partition)
        left_us = retention_left_us(retention_us, log.waiting_since_us, row.read_us)
        report.add(catalogue.RETENTION_LEFT, _seconds(left_us), partition=partition)


def retention_left_us(retention_us: int | None, waiting_since_us: int | None, now_us: int) -> int | None:
    """How long until Kafka may delete what is not counted: it counts from a record's own timestamp."""
    if retention_us is None:
        return None
    return retention_us if waiting_since_us is None else waiting_since_us + retention_us - now_us


def _seconds(duration_us: int | None) -> float | None:
    return None if duration_us is None else duration_us / 1e6
