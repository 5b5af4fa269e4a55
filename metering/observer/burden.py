"""What costs more to look at, and is looked at once a minute: piles, weights, and what is unusual."""

from collections import defaultdict
from typing import Final

import structlog

from aggregator.health.seasonal import HOUR_US, earlier_hours, leaves_range
from aggregator.store import activity, quarantine, server, silence, terms, unrated
from aggregator.store.connection import Connection
from metering.observer.counted import Accounts
from metering.observer.report import Report
from metering.telemetry import Instruments, catalogue
from metering.telemetry.labels import HOT_TABLES

log = structlog.get_logger(__name__)

PILES: Final = (
    catalogue.QUARANTINED,
    catalogue.QUARANTINE_AGE,
    catalogue.OLDEST_TRANSACTION,
    catalogue.DEAD_ROWS,
    catalogue.DATABASE_SIZE,
)
UNPAID: Final = (catalogue.UNRATED_EVENTS, catalogue.SILENT_SUBSCRIPTIONS)
UNUSUAL: Final = (catalogue.ANOMALOUS_SUBJECTS,)

SUBJECTS: Final = 1_000
"""Of each meter so many subjects are compared with their own past: those with the most usage."""

SETTLED_US: Final = 15 * 60 * 1_000_000
"""An hour is compared when every partition is so far past its end: late events are in it by then."""


async def report_piles(connection: Connection, instruments: Instruments) -> None:
    """Say what lies in quarantine, and what weighs on the database."""
    report = Report(PILES)
    for pile in await quarantine.ages(connection):
        report.add(catalogue.QUARANTINED, pile.rows, code=pile.code)
        report.add(catalogue.QUARANTINE_AGE, pile.oldest_us / 1e6, code=pile.code)
    burden = await server.burden(connection)
    report.add(catalogue.DATABASE_SIZE, burden.size_bytes)
    if burden.oldest_transaction_us is not None:
        report.add(catalogue.OLDEST_TRANSACTION, burden.oldest_transaction_us / 1e6)
    for table, rows in (await server.dead_rows(connection)).items():
        if table in HOT_TABLES:
            report.add(catalogue.DEAD_ROWS, rows, table=table)
    report.show(instruments)


async def report_unpaid(connection: Connection, instruments: Instruments) -> None:
    """Say how much usage nobody pays for, and how many subscriptions nobody uses."""
    report = Report(UNPAID)
    meters = (await terms.rating_catalog(connection)).meters
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        report.add(catalogue.UNRATED_EVENTS, await unrated.events(connection, meters))
        report.add(catalogue.SILENT_SUBSCRIPTIONS, await silence.count(connection, meters))
    report.show(instruments)


class Seasons:
    """Compares each hour once with the same hour of earlier days and weeks."""

    def __init__(self) -> None:
        self._hour_us: int | None = None

    async def look(self, connection: Connection, accounts: Accounts, instruments: Instruments) -> None:
        """Compare the last hour that every partition has left behind, if that was not done yet."""
        if accounts.reached_us is None:
            return
        hour_us = (accounts.reached_us - SETTLED_US) // HOUR_US * HOUR_US - HOUR_US
        if hour_us == self._hour_us:
            return
        self._hour_us = hour_us
        anomalies = await unusual_subjects(connection, hour_us)
        report = Report(UNUSUAL)
        for meter in set(accounts.versions.values()):
            report.add(catalogue.ANOMALOUS_SUBJECTS, len(anomalies.get(meter, [])), meter=meter)
        report.show(instruments)
        for meter, subjects in anomalies.items():
            log.warning("usage_unusual", meter=meter, count=len(subjects), subjects=sorted(subjects)[:10])


async def unusual_subjects(connection: Connection, hour_us: int) -> dict[str, list[str]]:
    """Subjects whose usage in an hour leaves their own range, by meter."""
    earlier = earlier_hours(hour_us)
    amounts: defaultdict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for one in await activity.hourly_usage(connection, [*earlier, hour_us], SUBJECTS):
        amounts[one.meter, one.subject][one.hour_us] = one.amount
    found: defaultdict[str, list[str]] = defaultdict(list)
    for (meter, subject), by_hour in amounts.items():
        if leaves_range(by_hour.get(hour_us, 0.0), [by_hour.get(hour, 0.0) for hour in earlier]):
            found[meter].append(subject)
    return dict(found)
