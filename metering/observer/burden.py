"""What costs more to look at, and is looked at rarely: piles, weights, money at risk, the unusual."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import structlog

from aggregator.health.seasonal import earlier_hours, leaves_range
from aggregator.rating.refused import Money
from aggregator.store import activity, at_risk, quarantine, server, silence, terms, unrated, unrated_money
from aggregator.store.connection import Connection
from metering.observer.counted import Accounts
from metering.observer.report import Report
from metering.telemetry import catalogue
from metering.telemetry.kinds import Gauge
from metering.telemetry.labels import HOT_TABLES
from schemas.instant import HOUR_US

log = structlog.get_logger(__name__)

PILES: Final = (
    catalogue.QUARANTINED,
    catalogue.QUARANTINE_AGE,
    catalogue.QUARANTINE_MONEY,
    catalogue.QUARANTINE_NOT_ESTIMATED,
    catalogue.OLDEST_TRANSACTION,
    catalogue.DEAD_ROWS,
    catalogue.DATABASE_SIZE,
    catalogue.DATABASE_WAL,
)
UNPAID: Final = (
    catalogue.UNRATED_EVENTS,
    catalogue.UNRATED_MONEY,
    catalogue.UNRATED_NOT_ESTIMATED,
    catalogue.SILENT_SUBSCRIPTIONS,
)
UNUSUAL: Final = (catalogue.ANOMALOUS_SUBJECTS,)

SUBJECTS: Final = 1_000
"""Of each meter so many subjects are compared with their own past: those with the most usage."""

SETTLED_US: Final = 15 * 60 * 1_000_000
"""An hour is compared when every partition is so far past its end: late events are in it by then."""


async def pile_report(connection: Connection) -> Report:
    """What lies in quarantine, and what weighs on the database."""
    report = Report(PILES)
    for pile in await quarantine.ages(connection):
        report.add(catalogue.QUARANTINED, pile.rows, code=pile.code)
        report.add(catalogue.QUARANTINE_AGE, pile.oldest_us / 1e6, code=pile.code)
    if await quarantine.may_read_payloads(connection):
        for code, risk in (await at_risk.money_by_code(connection)).items():
            _add_money(report, catalogue.QUARANTINE_MONEY, risk.money, code=code)
            report.add(catalogue.QUARANTINE_NOT_ESTIMATED, risk.not_estimated, code=code)
    burden = await server.burden(connection)
    report.add(catalogue.DATABASE_SIZE, burden.size_bytes)
    report.add(catalogue.DATABASE_WAL, burden.wal_bytes)
    if burden.oldest_transaction_us is not None:
        report.add(catalogue.OLDEST_TRANSACTION, burden.oldest_transaction_us / 1e6)
    for table, rows in (await server.dead_rows(connection)).items():
        if table in HOT_TABLES:
            report.add(catalogue.DEAD_ROWS, rows, table=table)
    return report


async def unpaid_report(connection: Connection) -> Report:
    """How much usage nobody pays for, and how many subscriptions nobody uses: a probe for each series."""
    report = Report(UNPAID)
    catalog = await terms.rating_catalog(connection)
    events = await unrated.events(connection, catalog.meters)
    risk = await unrated_money.at_risk(connection, catalog)
    report.add(catalogue.UNRATED_EVENTS, events)
    report.add(catalogue.UNRATED_NOT_ESTIMATED, max(events - risk.estimated_events, 0))
    _add_money(report, catalogue.UNRATED_MONEY, risk.money)
    report.add(catalogue.SILENT_SUBSCRIPTIONS, await silence.count(connection, catalog.meters))
    return report


def _add_money(report: Report, gauge: Gauge, money: Iterable[Money], **labels: str) -> None:
    for one in money:
        report.add(gauge, float(one.least), currency=one.currency, bound="least", **labels)
        report.add(gauge, float(one.most), currency=one.currency, bound="most", **labels)


class Seasons:
    """Compares each hour once with the same hour of earlier days and weeks."""

    def __init__(self) -> None:
        self._hour_us: int | None = None

    async def report(self, connection: Connection, accounts: Accounts) -> Report | None:
        """Compare the last hour that every partition has left behind; None: that was done already."""
        if accounts.reached_us is None:
            return None
        hour_us = (accounts.reached_us - SETTLED_US) // HOUR_US * HOUR_US - HOUR_US
        if hour_us == self._hour_us:
            return None
        anomalies = await unusual_subjects(connection, hour_us)
        self._hour_us = hour_us
        report = Report(UNUSUAL)
        for meter in set(accounts.versions.values()):
            report.add(catalogue.ANOMALOUS_SUBJECTS, len(anomalies.get(meter, [])), meter=meter)
        for meter, subjects in anomalies.items():
            log.warning("usage_unusual", meter=meter, count=len(subjects), subjects=sorted(subjects)[:10])
        return report


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
