"""A partition this process has claimed: what it knows of it until the group takes it away."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from aiokafka import TopicPartition

    from aggregator.state import PartitionState
    from metering.worker.stops import Stop


@dataclass(slots=True, eq=False)
class Owned:
    """One claimed partition.

    `committed` is what the database has, `newest` what the last fold made of everything taken so far. When
    `newest` is no longer what comes after `committed` (a batch was folded again, or is fetched again),
    `rewinds` grows, and whatever was folded on the old `newest` is folded again. When records are to be
    fetched again, `generation` grows too, and those of an earlier generation are dropped.
    """

    log: TopicPartition
    epoch: int
    committed: PartitionState
    newest: PartitionState
    position: int  # the next offset to take from the client
    until: int | None = None  # take nothing from here on: where a replay ends
    leader_epoch: int = -1  # of the log that was compared with what is committed
    rewinds: int = 0
    generation: int = 0
    suspended: bool = True  # its log is not checked yet, or has to be checked again
    stop: Stop | None = None
    flight: asyncio.Task[None] | None = None  # the flush that has a batch of it
    end_offset: int | None = None  # newest known end of the log, open transactions included
    log_end_us: int | None = None  # newest known timestamp of the log
    active_at_s: float = field(default_factory=time.monotonic)  # when records came last

    @property
    def partition(self) -> int:
        """Its number."""
        partition: int = self.log.partition
        return partition

    @property
    def fetchable(self) -> bool:
        """Whether records may be taken from the client."""
        is_over = self.until is not None and self.position >= self.until
        return self.stop is None and not self.suspended and not is_over

    @property
    def taken(self) -> bool:
        """Whether everything in the log, as far as it is known, has been taken from the client."""
        return self.end_offset is not None and self.position >= self.end_offset

    @property
    def caught_up(self) -> bool:
        """Whether everything in the log, as far as it is known, is committed."""
        return self.end_offset is not None and self.committed.next_offset >= self.end_offset

    def suspend(self) -> None:
        """Take nothing more until the log has been checked again; drop what is not in flight."""
        self.suspended = True
        self.generation += 1

    def resume(self, leader_epoch: int) -> None:
        """Go on from what is committed: everything after it is fetched again."""
        self.leader_epoch = leader_epoch
        self.newest = self.committed
        self.position = self.committed.next_offset
        self.rewinds += 1
        self.suspended = False
