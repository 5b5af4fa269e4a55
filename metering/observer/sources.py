"""What is reported of sources: which services have stopped to send, compared with their own past."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import structlog

from aggregator.health.silence import KEPT_US, EventPast
from aggregator.health.sources import OTHERS, times_us
from aggregator.store import sources
from aggregator.store.connection import Connection
from metering.observer.counted import Accounts
from metering.observer.report import Report
from metering.telemetry import catalogue
from schemas.instant import HOUR_US, MINUTE_US

log = structlog.get_logger(__name__)

GAUGES: Final = (catalogue.SOURCES, catalogue.SOURCE_SILENT)

SHOWN: Final = 50
"""So many silent sources have a gauge of their own: those heard last."""


class SilentSource(NamedTuple):
    """A service that has stopped to send."""

    source: str
    since_us: int  # log time, to within a minute


class SourcePasts:
    """When each source was heard: read once as far back as it is kept, then carried on by what is new."""

    def __init__(self) -> None:
        self._pasts: dict[str, EventPast] = {}
        self._beyond: dict[int, int] = {}  # by hour, sources without a name, as many as one batch had
        self._read_to_us: int | None = None  # log time; None: nothing was read yet
        self._silent: set[str] = set()

    async def read(self, connection: Connection, accounts: Accounts) -> None:
        """Learn who was heard since the last time."""
        reached_us = accounts.reached_us
        if reached_us is None:
            return
        since_us = reached_us - KEPT_US if self._read_to_us is None else self._read_to_us
        for one in await sources.heard_since(connection, since_us):
            if one.source == OTHERS:
                self._beyond[one.hour_us] = one.others
                continue
            past = self._pasts.setdefault(one.source, EventPast())
            for at_us in times_us(one.hour_us, one.minutes):
                past.add(at_us)
        self._read_to_us = reached_us
        self._pasts = {
            source: past
            for source, past in self._pasts.items()
            if past.newest_us is not None and past.newest_us >= reached_us - KEPT_US
        }
        self._beyond = {
            hour: count for hour, count in self._beyond.items() if hour > reached_us - 2 * HOUR_US
        }

    def silent(self, accounts: Accounts) -> list[SilentSource]:
        """Sources that were not heard for longer than their past explains; who was heard last comes first."""
        if accounts.reached_us is None:
            return []
        now_us = accounts.reached_us // MINUTE_US * MINUTE_US  # as exact as what it is compared with
        found = [
            SilentSource(source, past.newest_us)
            for source, past in self._pasts.items()
            if past.newest_us is not None and past.is_silent(now_us)
        ]
        return sorted(found, key=lambda one: (-one.since_us, one.source))

    def report(self, report: Report, accounts: Accounts) -> None:
        """Say which sources are silent, and how many there are."""
        silent = self.silent(accounts)
        for standing, count in self._counts(silent).items():
            report.add(catalogue.SOURCES, count, standing=standing)
        for one in silent[:SHOWN]:
            report.add(catalogue.SOURCE_SILENT, 1, source=one.source)
        for one in silent:
            if one.source not in self._silent:
                log.warning("source_silent", source=one.source, since_us=one.since_us)
        self._silent = {one.source for one in silent}

    def _counts(self, silent: list[SilentSource]) -> Mapping[str, int]:
        return {
            "watched": len(self._pasts),
            "silent": len(silent),
            "beyond": max(self._beyond.values(), default=0),
        }
