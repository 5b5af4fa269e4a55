"""Which stretch of a partition's log proves windows, and which windows it proves.

A stretch that is read from a batch's end on knows all that may contradict events from the margin after that
batch's frontier on; and it has all that is on time for windows whose grace its last frontier has passed. So a
bounded part of a log proves windows exactly, wherever it lies.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

from aggregator.state import TopicRules
from aggregator.store import proof as store
from aggregator.store.connection import BEGINNING_US, Connection
from metering.explain.recount import Key, MeterRule
from metering.explain.windows import margin_us

RECENT: Final = 3
"""The place of a stretch is a random number to this power: half of them lie in the last eighth of the log."""


@dataclass(frozen=True, slots=True)
class Provable:
    """Offsets `[first_offset, next_offset)` of a partition, and what they prove."""

    partition: int
    first_offset: int
    next_offset: int
    frontier_us: int | None  # before the first offset; None: nothing comes before it
    from_us: int  # windows that begin here or later
    until_us: int  # and whose grace has passed by here

    def proves(self, key: Key, rule: MeterRule) -> bool:
        """Whether all events of a window lie in it, with all that may contradict them."""
        return self.from_us <= key.start_us and key.start_us + rule.window_us + rule.grace_us <= self.until_us


async def choose(
    connection: Connection,
    rules: TopicRules,
    partition: int,
    first_offset: int,
    log_start: int,
    next_offset: int,
    closing_us: int,
    most_records: int,
    random: Random,
) -> Provable | None:
    """A stretch of a partition's log: all that is kept if that is little, else a part, rather a recent one.

    Args:
        connection: to the database.
        rules: of the topic.
        partition: whose log.
        first_offset: where counting began.
        log_start: what is still in the log.
        next_offset: where counting stands.
        closing_us: log time up to which windows are final.
        most_records: offsets to read at most.
        random: chooses.

    Returns:
        None if nothing was counted of what is kept.
    """
    kept = max(first_offset, log_start)
    spare = next_offset - kept - most_records
    last_offset = next_offset - 1
    if spare > 0 and random.random() < 0.5:  # noqa: PLR2004 - every other time the newest
        last_offset -= round(spare * random.random() ** RECENT)
    return await ending_at(
        connection, rules, partition, first_offset, log_start, last_offset, closing_us, most_records
    )


async def ending_at(
    connection: Connection,
    rules: TopicRules,
    partition: int,
    first_offset: int,
    log_start: int,
    last_offset: int,
    closing_us: int,
    most_records: int,
) -> Provable | None:
    """The stretch that ends with the batch of this offset; all else is as of `choose`."""
    kept = max(first_offset, log_start)
    last = await store.batch_before(connection, partition, last_offset)
    if last is None or last.frontier_us is None:
        return None
    begins, frontier_us, from_us = first_offset, None, BEGINNING_US
    start = max(kept, last.next_offset - most_records)
    if start > first_offset:
        before = await store.batch_before(connection, partition, start - 1)
        if before is None or before.next_offset < start:
            return None  # the ledger has a hole here: that is found elsewhere
        begins, frontier_us = before.next_offset, before.frontier_us
        from_us = BEGINNING_US if frontier_us is None else frontier_us + margin_us(rules)
    if begins >= last.next_offset:
        return None
    return Provable(
        partition, begins, last.next_offset, frontier_us, from_us, min(last.frontier_us, closing_us)
    )
