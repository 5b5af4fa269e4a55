"""When each meter last had events: read once from the end of the ledger, then carried on by what is new."""

from collections.abc import Mapping
from typing import Final

from aggregator.store import activity
from aggregator.store.connection import Connection
from metering.observer.counted import Accounts

BATCHES_BACK: Final = 1000
"""So much of each partition's past is read at first; a meter without events in it has none that is known."""


class Freshness:
    """Remembers, for as long as the process lives."""

    def __init__(self) -> None:
        self._newest_us: dict[str, int] = {}
        self._since: dict[int, int] = {}  # by partition, the first offset that was not looked at

    async def read(self, connection: Connection, accounts: Accounts) -> Mapping[str, int]:
        """By meter, the log time of its newest events, to within a batch."""
        since = self._since or await activity.batches_back(connection, BATCHES_BACK)
        for meter_version_id, at_us in await activity.meter_activity(connection, since):
            meter = accounts.versions.get(meter_version_id)
            if meter is not None:
                self._newest_us[meter] = max(at_us, self._newest_us.get(meter, at_us))
        self._since = {one.partition: one.next_offset for one in accounts.partitions}
        return self._newest_us
