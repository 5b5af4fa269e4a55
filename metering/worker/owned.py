"""A partition this process has claimed: what it knows of it until the group takes it away."""

from dataclasses import dataclass

from aggregator.state import PartitionState
from metering.worker.stops import Stop


@dataclass(slots=True)
class Owned:
    """One claimed partition.

    `committed` is what the database has, `newest` what the last fold made of everything taken so far. When
    `newest` is no longer what comes after `committed` (a batch was folded again, or is fetched again),
    `rewinds` grows, and whatever was folded on the old `newest` is folded again.
    """

    partition: int
    epoch: int
    leader_epoch: int  # of the log that was checked against the database
    committed: PartitionState
    newest: PartitionState
    position: int  # the next offset to take from the client
    rewinds: int = 0
    suspended: bool = False  # its log is being checked again
    stop: Stop | None = None
    end_offset: int | None = None  # newest known end of the log
    newest_timestamp_us: int | None = None  # of the last record fetched

    @property
    def fetchable(self) -> bool:
        """Whether records may be taken from the client."""
        return self.stop is None and not self.suspended

    @property
    def caught_up(self) -> bool:
        """Whether everything in the log, as far as it is known, is committed."""
        return self.end_offset is not None and self.committed.next_offset >= self.end_offset

    def rewind(self) -> None:
        """Go back to what is committed: everything after it will be fetched again."""
        self.newest = self.committed
        self.position = self.committed.next_offset
        self.rewinds += 1
