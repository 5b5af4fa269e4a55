"""How far every partition is."""

from dataclasses import dataclass

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
        )
        for row in await connection.fetch(STATEMENTS["partition_states"])
    ]
