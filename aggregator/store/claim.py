"""Taking partitions over: from here on, whoever held them before is fenced."""

from collections.abc import Collection
from dataclasses import dataclass

from aggregator.batch import Outcomes
from aggregator.state import LastRecord
from aggregator.store.connection import Connection, instant_us
from aggregator.store.errors import NotApplied
from aggregator.store.statements import STATEMENTS


@dataclass(frozen=True, slots=True)
class ClaimedPartition:
    """A partition's row just after its epoch was raised; go on reading at `next_offset`."""

    partition: int
    epoch: int
    first_offset: int
    next_offset: int
    frontier_us: int | None  # None: no record yet
    newest_time_us: int | None  # greatest time of an accepted event
    last: LastRecord | None  # None: no record yet
    outcomes: Outcomes
    unmetered: int
    ledger_end: int  # where the ledger's last row ends; `first_offset` without a row

    @property
    def ledger_joins(self) -> bool:
        """Whether the ledger ends where reading goes on; if not it is corrupt, and counting must stop."""
        return self.ledger_end == self.next_offset


async def claim(connection: Connection, partitions: Collection[int], owner: str) -> list[ClaimedPartition]:
    """Claim partitions for `owner`, in one transaction; call it only on a new assignment.

    Returns:
        Their rows, by partition.

    Raises:
        NotApplied: there is no such partition; nothing was claimed.
    """
    async with connection.transaction():
        rows = await connection.fetch(STATEMENTS["claim_partitions"], sorted(partitions), owner)
        unknown = sorted(set(partitions) - {row["partition"] for row in rows})
        if unknown:
            raise NotApplied(f"the schema has no partitions {unknown}: run `metering topics apply`")
        ends = {
            row["partition"]: row["ledger_end"]
            for row in await connection.fetch(STATEMENTS["ledger_ends"], sorted(partitions))
        }
    return [
        ClaimedPartition(
            partition=row["partition"],
            epoch=row["epoch"],
            first_offset=row["first_offset"],
            next_offset=row["next_offset"],
            frontier_us=instant_us(row["frontier"]),
            newest_time_us=row["newest_time"],
            last=None
            if row["last_offset"] is None
            else LastRecord(row["last_offset"], row["last_timestamp"], row["last_hash"]),
            outcomes=Outcomes(*(row[name] for name in Outcomes._fields)),
            unmetered=row["unmetered"],
            ledger_end=ends[row["partition"]],
        )
        for row in sorted(rows, key=lambda row: row["partition"])
    ]
