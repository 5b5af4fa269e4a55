"""When each meter last had events: read from the end of the ledger, then carried on by what is new.

A meter that has long been quiet is looked for further and further back, a part of the ledger with every look,
so that no look takes long; until it is found, it is known since when it had none.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from aggregator.store import activity
from aggregator.store.connection import Connection
from metering.observer.counted import Accounts

BATCHES_AT_ONCE: Final = 1_000
"""So much of each partition's past is read in one look."""

_NO_END: Final = 2**63 - 1


class Newest(NamedTuple):
    """What is known of each meter's newest events, by log time, to within a batch."""

    at_us: Mapping[str, int]  # meters that had events
    since_us: int | None  # the others had none since then; None: never


class Freshness:
    """Remembers, for as long as the process lives."""

    def __init__(self) -> None:
        self._newest_us: dict[str, int] = {}
        self._first: dict[int, int] = {}  # by partition, where what was looked at begins
        self._next: dict[int, int] = {}  # and the first offset that was not looked at yet
        self._since_us: int | None = None
        self._ended: set[int] = set()  # partitions whose ledger has nothing further back

    async def read(self, connection: Connection, accounts: Accounts) -> Newest:
        """Learn what was counted since the last time; and of who was not seen yet, what was before."""
        now = {one.partition: one.next_offset for one in accounts.partitions}
        begun = {partition: (self._next.get(partition, end), _NO_END) for partition, end in now.items()}
        await self._learn(connection, accounts, begun)
        self._next = now
        if self._ended < now.keys() and set(accounts.versions.values()) - self._newest_us.keys():
            await self._look_back(connection, accounts)
        return Newest(self._newest_us, None if self._ended >= now.keys() else self._since_us)

    async def _look_back(self, connection: Connection, accounts: Accounts) -> None:
        ends = {
            partition: self._first.get(partition, end)
            for partition, end in self._next.items()
            if partition not in self._ended
        }
        found = await activity.batches_before(connection, ends, BATCHES_AT_ONCE)
        before = {partition: (one.offset, ends[partition]) for partition, one in found.items()}
        await self._learn(connection, accounts, before)
        self._ended |= ends.keys() - found.keys()
        self._first |= {partition: one.offset for partition, one in found.items()}
        # Times grow with offsets: who had none since the latest of these had none in any partition.
        known_us = [one.log_us for one in found.values() if one.log_us is not None]
        self._since_us = max(known_us, default=self._since_us)

    async def _learn(
        self, connection: Connection, accounts: Accounts, stretches: Mapping[int, tuple[int, int]]
    ) -> None:
        for version, at_us in (await activity.newest_meter_activity(connection, stretches)).items():
            meter = accounts.versions.get(version)
            if meter is not None:
                self._newest_us[meter] = max(at_us, self._newest_us.get(meter, at_us))
