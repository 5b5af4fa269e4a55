"""Notes when each source was heard, in minutes of log time, and reads it: silence is told from zero by it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aggregator.batch import Batch
from aggregator.health.sources import Heard, bit_of, minute_of
from aggregator.store.cache import StoreCache
from aggregator.store.connection import Connection
from aggregator.store.sent import Sent
from aggregator.store.statements import STATEMENTS
from schemas.instant import HOUR_US, MINUTE_US


class Noted(NamedTuple):
    """What a flush has written of one partition: to be remembered when it is committed."""

    heard: Heard
    names: Sequence[str]
    minute: int


class HeardHour(NamedTuple):
    """When a source was heard within an hour of log time, in any partition."""

    hour_us: int
    source: str
    minutes: int  # a bit for each of its minutes
    others: int  # as many sources had no name, at most in one batch


async def write(
    sent: Sent, batches: Sequence[Batch], epochs: Mapping[int, int], cache: StoreCache
) -> list[Noted]:
    """Note the batches' sources, each once a minute: so most flushes need no statement for it.

    The partitions' rows are locked, so nobody else writes theirs: what the cache knows of an epoch is true.
    """
    heard_in = [batch for batch in batches if batch.sources and batch.frontier_us is not None]
    await _learn(sent, {batch.partition: epochs[batch.partition] for batch in heard_in}, cache)
    rows, noted = [], []
    for batch in heard_in:
        minute = minute_of(batch.frontier_us or 0)
        heard = cache.heard[batch.partition, epochs[batch.partition]]
        names, others = heard.news(batch.sources, minute)
        if names:
            noted.append(Noted(heard, names, minute))
        hour_us = minute * MINUTE_US // HOUR_US * HOUR_US
        rows += [(batch.partition, hour_us, name, bit_of(minute), 0 if name else others) for name in names]
    await sent.insert("note_sources", rows)
    return noted


async def _learn(sent: Sent, epochs: Mapping[int, int], cache: StoreCache) -> None:
    """Read which sources partitions have that the cache does not know in this epoch: once a claim."""
    unknown = [partition for partition, epoch in epochs.items() if (partition, epoch) not in cache.heard]
    if unknown:
        found: dict[int, dict[str, int]] = {partition: {} for partition in unknown}
        for row in await sent.fetch("named_sources", unknown):
            found[row["partition"]][row["source"]] = minute_of(row["hour"])
        for partition, minutes in found.items():
            cache.know_sources(partition, epochs[partition], Heard(minutes))


async def heard_since(connection: Connection, since_us: int) -> list[HeardHour]:
    """When each source was heard, from the hour of a log time on, in order of hours; any role may ask."""
    rows = await connection.fetch(STATEMENTS["heard_since"], since_us // HOUR_US * HOUR_US)
    return [HeardHour(*row) for row in rows]


async def drop_old(connection: Connection) -> int:
    """Forget hours older than what silence is judged by."""
    return len(await connection.fetch(STATEMENTS["drop_old_sources"]))
