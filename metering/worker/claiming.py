"""From an assignment to partitions that are ours: raise their epochs, then load what they remember.

Whether their logs are those that were counted is not asked here: they begin suspended, and the guard lets
them go on.
"""

import asyncio
from collections.abc import Collection
from functools import partial

import structlog
from aiokafka import TopicPartition

from aggregator.state import Claimed, PartitionState, TopicRules, live_since_hour, opened
from aggregator.store import load
from aggregator.store.claim import ClaimedPartition, claim
from metering.process.patience import Patience
from metering.worker.database import Database
from metering.worker.owned import Owned
from metering.worker.stops import Stop
from schemas.codes import Code

log = structlog.get_logger(__name__)


async def claim_all(
    logs: Collection[TopicPartition], rules: TopicRules, database: Database, patience: Patience, owner: str
) -> list[Owned]:
    """Take partitions over, however long the database is away; only a new assignment may call this.

    One whose ledger does not end where reading would go on is stopped.

    Raises:
        NotApplied: the schema has no such partition.
        ExceptionGroup: ids cannot be loaded, for reasons that do not pass.
    """
    by_partition = {log_of.partition: log_of for log_of in logs}

    async def raise_epochs() -> list[ClaimedPartition]:
        async with database.loads.use() as connection:
            return await claim(connection, by_partition, owner)

    rows = await patience.until_done("claim", raise_epochs)
    # The next partition's ids are read while a thread sorts those of the one before.
    async with asyncio.TaskGroup() as tasks:
        opening = [
            tasks.create_task(patience.until_done("load ids", partial(_opened, row, rules, database)))
            for row in rows
        ]
    owned = []
    for row, opened_row in zip(rows, opening, strict=True):
        log_of, state = by_partition[row.partition], opened_row.result()
        owned.append(Owned(log_of, row.epoch, state, state, row.next_offset, stop=_ledger_stop(row)))
    log.info(
        "partitions_claimed",
        partitions={one.partition: one.position for one in owned},
        epochs={one.partition: one.epoch for one in owned},
        remembered_ids=sum(len(one.committed.memory) for one in owned),
    )
    return owned


def _ledger_stop(row: ClaimedPartition) -> Stop | None:
    if row.ledger_joins:
        return None
    seen = f"the ledger ends at {row.ledger_end}, but counting at {row.next_offset}"
    return Stop(Code.CORRUPT_LEDGER, row.partition, row.next_offset, seen)


async def _opened(row: ClaimedPartition, rules: TopicRules, database: Database) -> PartitionState:
    claimed = Claimed(row.partition, row.next_offset, row.frontier_us, row.newest_time_us, row.last)
    async with database.loads.use() as connection:
        entries = await load.memory_entries(
            connection, row.partition, live_since_hour(rules, row.frontier_us)
        )
        caps_us = await load.caps(connection, row.partition)
    return await asyncio.to_thread(opened, rules, claimed, entries, caps_us)
