"""What is reported of meters: how final, how fresh, and whether one has fallen silent."""

from typing import Final

import structlog

from aggregator.finality import Waiting
from aggregator.health.silence import EventPast
from aggregator.store import activity
from aggregator.store.connection import Connection
from metering.observer.counted import Accounts
from metering.observer.report import Report
from metering.telemetry import catalogue

log = structlog.get_logger(__name__)

GAUGES: Final = (
    catalogue.CLOSING,
    catalogue.FINALITY_DELAY,
    catalogue.FINALITY_OVERDUE,
    catalogue.FINALITY_BLOCKED,
    catalogue.FRESHNESS,
    catalogue.METER_FRESHNESS,
    catalogue.METER_SILENT,
    catalogue.OUTBOX_PENDING,
    catalogue.DUTY_HELD,
)

BATCHES_BACK: Final = 10_000
"""So much of each partition's past is read when the observer begins: hours, at a flush a second."""


class MeterPasts:
    """When each meter had events: read once from the ledger, then carried on by what is new there."""

    def __init__(self) -> None:
        self._pasts: dict[str, EventPast] = {}
        self._since: dict[int, int] = {}  # by partition, the first offset that was not looked at
        self._silent: set[str] = set()

    async def read(self, connection: Connection, accounts: Accounts) -> None:
        """Learn what was counted since the last time."""
        if not self._since:
            self._since = await activity.batches_back(connection, BATCHES_BACK)
        for meter_version_id, at_us in await activity.meter_activity(connection, self._since):
            meter = accounts.versions.get(meter_version_id)
            if meter is not None:
                self._pasts.setdefault(meter, EventPast()).add(at_us)
        self._since = {one.partition: one.next_offset for one in accounts.partitions}

    def silent(self, accounts: Accounts) -> list[str]:
        """Meters that have had no events for longer than their past explains."""
        reached_us = accounts.reached_us
        if reached_us is None:
            return []
        return sorted(meter for meter, past in self._pasts.items() if past.is_silent(reached_us))

    def report(self, report: Report, accounts: Accounts) -> None:
        """Say how fresh each meter is, and whether it is silent."""
        is_of_today = accounts.topic is not None and accounts.topic.times_are_appends
        for meter, past in self._pasts.items():
            if is_of_today and past.newest_us is not None and accounts.read_us is not None:
                age_s = max(0, accounts.read_us - past.newest_us) / 1e6
                report.add(catalogue.METER_FRESHNESS, age_s, meter=meter)
            is_silent = None if accounts.reached_us is None else past.is_silent(accounts.reached_us)
            report.add(catalogue.METER_SILENT, None if is_silent is None else int(is_silent), meter=meter)
            if is_silent and meter not in self._silent:
                log.warning("meter_silent", meter=meter, since_us=past.newest_us)
            (self._silent.add if is_silent else self._silent.discard)(meter)


def report_meters(report: Report, accounts: Accounts) -> None:
    """Say how final each meter is, and what holds it back."""
    if accounts.closing_us is not None:
        report.add(catalogue.CLOSING, accounts.closing_us / 1e6)
    if accounts.freshness_us is not None:
        report.add(catalogue.FRESHNESS, accounts.freshness_us / 1e6)
    report.add(catalogue.OUTBOX_PENDING, accounts.outbox_pending)
    for duty, holder in accounts.at_work.items():
        report.add(catalogue.DUTY_HELD, int(holder is not None), duty=duty)
    foremost_us = accounts.foremost_us
    for one in accounts.meters:
        if foremost_us is not None and one.final_before_us is not None:
            delay_s = max(0, foremost_us - one.final_before_us) / 1e6
            report.add(catalogue.FINALITY_DELAY, delay_s, meter=one.meter)
            report.add(catalogue.FINALITY_OVERDUE, one.overdue_us / 1e6, meter=one.meter)
        blocks = one.waiting_for is Waiting.PARTITION and one.missing_us is not None
        if blocks and one.partition is not None and one.missing_us is not None:
            report.add(
                catalogue.FINALITY_BLOCKED, one.missing_us / 1e6, meter=one.meter, partition=one.partition
            )
