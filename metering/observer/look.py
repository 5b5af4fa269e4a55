"""One look at both servers: what is known of partitions, meters and logs at this moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.health.group import GroupState, group_state
from aggregator.health.partition import State
from aggregator.store import migrate, quarantine
from aggregator.store.status import PartitionStatus
from metering.database import database
from metering.errors import UnreachableError
from metering.observer.counted import Accounts, read_accounts
from metering.observer.logs import Counted, LogPosition, TopicLogs, brokers
from metering.observer.past import Past
from metering.observer.sources import SilentSource, SourcePasts
from metering.observer.sparing import Sparing
from metering.settings import Settings

KAFKA: Final = "kafka"
POSTGRES: Final = "postgres"


@dataclass(frozen=True, slots=True)
class Standing:
    """A partition, with what the brokers say of its log."""

    status: PartitionStatus
    log: LogPosition | None  # None: no broker answers
    state: State | None  # None: it cannot be known without one

    @property
    def lag_records(self) -> int | None:
        """Records in the log that are not counted yet."""
        return None if self.log is None else self.log.lag_records(self._counted)

    @property
    def lag_us(self) -> int | None:
        """How far the log's newest timestamp is ahead of what is counted."""
        return None if self.log is None else self.log.lag_us(self._counted)

    @property
    def _counted(self) -> Counted:
        return Counted(self.status.next_offset, self.status.frontier_us)


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen, as far as servers answered."""

    accounts: Accounts | None  # None: the database is away
    standings: Sequence[Standing]  # one a partition; none without the database
    quarantine: Mapping[str, int]  # what waits for somebody to decide, by code
    silent: Sequence[SilentSource]  # who has stopped to send, those heard last first
    problems: Mapping[str, UnreachableError]  # by server

    @property
    def group(self) -> GroupState | None:
        """How all partitions do; None: it cannot be known."""
        return group_state({one.status.partition: one.state for one in self.standings})


class Looks:
    """Looks again and again; remembers as much as a partition's state needs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._past: Past | None = None
        self._sources = SourcePasts()
        self._ages = Sparing[list[quarantine.Pile]]()

    async def look(self) -> Look:
        """Ask both servers.

        Raises:
            StoreError: the schema is not set up.
        """
        try:
            async with database(self._settings) as connection:
                await migrate.require_migrated(connection)
                accounts = await read_accounts(connection)
                ages = await self._ages.get(lambda: quarantine.ages(connection))
                refused = {pile.code: pile.rows for pile in ages}
                await self._sources.read(connection, accounts)
        except UnreachableError as error:
            return Look(None, [], {}, [], {POSTGRES: error, **await self._kafka_problem()})
        logs, problems = await self.logs(accounts)
        silent = self._sources.silent(accounts)
        return Look(accounts, self.standings(accounts, logs), refused, silent, problems)

    def standings(self, accounts: Accounts, logs: Mapping[int, LogPosition]) -> list[Standing]:
        """Judge every partition by what is seen now and what was seen before."""
        if self._past is None and accounts.topic is not None:
            self._past = Past(
                self._settings.health_window_s, times_are_appends=accounts.topic.times_are_appends
            )
        stopped = frozenset(stop.partition for stop in accounts.stops)
        states = {} if self._past is None else self._past.states(accounts.partitions, logs, stopped)
        return [
            Standing(one, logs.get(one.partition), states.get(one.partition)) for one in accounts.partitions
        ]

    async def logs(
        self, accounts: Accounts
    ) -> tuple[Mapping[int, LogPosition], Mapping[str, UnreachableError]]:
        """What the brokers say of the logs; or why they do not."""
        if accounts.topic is None:
            return {}, await self._kafka_problem()
        try:
            async with TopicLogs.connect(self._settings, accounts.topic.name) as logs:
                return await logs.look(accounts.counted), {}
        except UnreachableError as error:
            return {}, {KAFKA: error}

    async def _kafka_problem(self) -> Mapping[str, UnreachableError]:
        """Whether brokers answer at all, where there is nothing else to ask them."""
        try:
            async with brokers(self._settings):
                return {}
        except UnreachableError as error:
            return {KAFKA: error}
