"""How far every partition is."""

from dataclasses import dataclass
from typing import NamedTuple

from aggregator.batch import Outcomes
from aggregator.store.connection import Connection, instant_us
from aggregator.store.statements import STATEMENTS


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """A partition's row, as anyone may read it."""

    partition: int
    epoch: int
    owner: str | None  # the last to claim it
    claimed_us: int | None
    first_offset: int
    next_offset: int
    frontier_us: int | None  # None: no record yet
    newest_time_us: int | None  # greatest time of an accepted event
    outcomes: Outcomes
    unmetered: int
    flushed_us: int | None
    is_connected: bool  # its owner is: a worker that is there, at work or not
    read_us: int  # when this was read, by the database's clock

    @property
    def owned_us(self) -> int | None:
        """The last moment at which it surely had an owner; None: it never had one."""
        if self.is_connected:
            return self.read_us
        return max((us for us in (self.claimed_us, self.flushed_us) if us is not None), default=None)


class CountedTopic(NamedTuple):
    """The topic that a schema counts, as anyone may know it."""

    name: str
    partitions: int
    clock: str  # broker or record
    repair_horizon_us: int

    @property
    def times_are_appends(self) -> bool:
        """Whether the log's timestamps say when records were appended."""
        return self.clock == "broker"


async def counted_topic(connection: Connection) -> CountedTopic | None:
    """The topic; None: none was applied yet."""
    row = await connection.fetchrow(STATEMENTS["counted_topic"])
    return None if row is None else CountedTopic(*row)


async def partitions(connection: Connection) -> list[PartitionStatus]:
    """Every partition of the topic, all read in one statement."""
    return [
        PartitionStatus(
            partition=row["partition"],
            epoch=row["epoch"],
            owner=row["owner"],
            claimed_us=row["claimed_at"],
            first_offset=row["first_offset"],
            next_offset=row["next_offset"],
            frontier_us=instant_us(row["frontier"]),
            newest_time_us=row["newest_time"],
            outcomes=Outcomes(*(row[name] for name in Outcomes._fields)),
            unmetered=row["unmetered"],
            flushed_us=row["flushed_at"],
            is_connected=row["is_connected"],
            read_us=row["read_at"],
        )
        for row in await connection.fetch(STATEMENTS["partition_states"])
    ]
