"""Goes through every partition's ledger again and again, a bounded part at a time, and along its end."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from aggregator.health.finding import Finding, Kind
from aggregator.health.ledger import Batch, breaks, miscounted, unkept
from aggregator.store import proof as store
from aggregator.store import status
from aggregator.store.connection import Connection
from aggregator.store.proof import FINDINGS_KEPT, Proof
from aggregator.store.status import PartitionStatus
from metering.auditor.ids import still_missing

BATCHES: Final = 2_000
"""Rows of a partition's ledger that are looked at in one step."""

_AROUND: Final = 3
"""Rows that tell whether what was wrong at one place still is."""


@dataclass(slots=True)
class _Place:
    """Where the round through one partition's ledger is."""

    next_offset: int
    end_offset: int  # the growing end is known up to here
    sums: Counter[str] = field(default_factory=Counter)


class LedgerRounds:
    """What is wrong with the ledger, as far as it was looked at."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self._open = {one.identity: one for one in findings}
        self._places: dict[int, _Place] = {}

    async def step(self, connection: Connection, compared: Sequence[tuple[Finding, bool]]) -> Proof:
        """Look at the next part.

        Args:
            connection: to the database.
            compared: batches and ids that were compared with the log meanwhile; True: it says the same.
        """
        checked, found = len(compared), {one.identity: one for one, is_equal in compared if not is_equal}
        equal = {one.identity for one, is_equal in compared if is_equal}
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            partitions = {one.partition: one for one in await status.partitions(connection)}
            ended = set()
            for one in partitions.values():
                looked_at, findings, has_ended = await self._go_on(connection, one)
                checked += looked_at
                found |= {finding.identity: finding for finding in findings}
                if has_ended:
                    ended.add(one.partition)
            missing = await self._missing(connection, {*found, *equal})
            for identity, finding in self._open.items():
                of = partitions.get(finding.place["partition"])
                if identity in found or identity in equal or of is None:
                    continue
                checked += 1
                if "outcome" in finding.place:
                    still = None if of.partition in ended else finding
                elif finding.kind is Kind.IDS:
                    still = finding if identity in missing else None
                elif finding.kind is Kind.RECORDS:
                    still = await _still_miscounted(connection, finding)
                else:
                    _, around = await _look(connection, of, finding.place["from"], _AROUND)
                    still = next((one for one in around if one.identity == identity), None)
                if still is not None:
                    found[identity] = still
        self._open = found
        return Proof("ledger", max(checked, len(found)), len(found), 0, list(found.values()))

    async def _missing(self, connection: Connection, known: Collection[str]) -> set[str]:
        """Of ids that were not remembered those that still are not; all at once, since each is looked for."""
        again = [
            one for identity, one in self._open.items() if one.kind is Kind.IDS and identity not in known
        ]
        return {one.identity for one in await still_missing(connection, again[:FINDINGS_KEPT])}

    async def _go_on(self, connection: Connection, one: PartitionStatus) -> tuple[int, list[Finding], bool]:
        """Look at the next rows of a partition: how many, what is wrong, and whether it was the last part."""
        place = self._places.setdefault(one.partition, _Place(one.first_offset, one.next_offset))
        batches, findings = await _look(connection, one, place.next_offset, BATCHES)
        for batch in batches:
            place.sums.update(batch.outcomes)
        looked_at = len(batches)
        if len(batches) == BATCHES:
            place.next_offset = batches[-1].next_offset
            newest, of_newest = await _look(connection, one, place.end_offset, BATCHES)
            place.end_offset = newest[-1].next_offset if newest else place.end_offset
            return looked_at + len(newest), findings + of_newest, False
        findings += miscounted(one.partition, one.outcomes._asdict(), place.sums)
        self._places[one.partition] = _Place(one.first_offset, one.next_offset)
        return looked_at, findings, True


async def _look(
    connection: Connection, one: PartitionStatus, offset: int, most: int
) -> tuple[list[Batch], list[Finding]]:
    batches = await store.batches(connection, one.partition, offset, most)
    ends = one.next_offset if len(batches) < most else None
    said, kept = await store.said_and_kept(connection, one.partition, batches)
    return batches, [
        *breaks(one.partition, offset, batches, ends),
        *unkept(one.partition, batches, said, kept),
    ]


async def _still_miscounted(connection: Connection, finding: Finding) -> Finding | None:
    """The log does not change: what was found in it once is what a batch must account for."""
    rows = await store.batches(connection, finding.place["partition"], finding.place["from"], 1)
    found = None
    if rows and rows[0].first_offset == finding.place["from"]:
        found = {"next_offset": rows[0].next_offset, "records": rows[0].records}
    if found == finding.expected:
        return None
    return Finding(finding.kind, finding.sentence, finding.place, finding.expected, found)
