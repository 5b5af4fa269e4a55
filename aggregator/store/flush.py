"""One flush: everything that some batches decided, in one transaction or not at all."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import asyncpg

from aggregator.batch import Batch
from aggregator.store import ledger, quarantine, sources, time_partitions, windows
from aggregator.store.cache import SeriesName, StoreCache
from aggregator.store.connection import Connection
from aggregator.store.errors import CatalogMoved, StoreError, StoreRejected, UnknownOutcome
from aggregator.store.ledger import Stamp
from aggregator.store.sent import Sent
from aggregator.store.sources import Noted
from aggregator.store.statements import STATEMENTS


class Flushed(NamedTuple):
    """What a flush has cost."""

    statements: int  # BEGIN and COMMIT included
    stage_s: Mapping[str, float]  # `check`, `ledger`, `ids`, `windows`, `quarantine`, `commit`


class _Written(NamedTuple):
    """What the cache may remember once it is committed."""

    series: Mapping[SeriesName, int]
    noted: Sequence[Noted]


class Resolution(StrEnum):
    """What became of a flush whose outcome was unknown."""

    COMMITTED = "committed"
    RETRY = "retry"
    FENCED = "fenced"


async def flush(
    connection: Connection,
    batches: Sequence[Batch],
    epochs: Mapping[int, int],
    kinds: Mapping[int, str],
    cache: StoreCache,
    stamp: Stamp,
) -> Flushed:
    """Write batches of different partitions. After any error but `UnknownOutcome` nothing of them is written.

    Args:
        connection: in no transaction. After an error it may be closed.
        batches: at most one per partition, at least one.
        epochs: of the claim, by partition.
        kinds: aggregation by meter version.
        cache: of this process and schema.
        stamp: who writes.

    Raises:
        Fenced: a partition has another epoch or offset.
        CatalogMoved: a batch was folded with another head of the catalog.
        StoreRejected: the database refused a value (SQLSTATE class 22), or could not even be sent it.
        UnknownOutcome: COMMIT was sent and not confirmed; the connection is closed. Call `resolve` on
            another.
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: anything else that failed before
            COMMIT was sent.
    """
    sent = Sent(connection)
    try:
        await time_partitions.ensure(sent, batches, cache)
        written = await _write(sent, batches, epochs, kinds, cache, stamp)
    except (asyncpg.DataError, UnicodeEncodeError) as error:  # asyncpg encodes as UTF-8, and so do series
        await _roll_back(connection, error)
        raise StoreRejected(str(error)) from error
    except BaseException as error:
        await _roll_back(connection, error)
        raise
    await _commit(sent, connection)
    sent.reached("commit")
    cache.remember(written.series)
    for heard, names, minute in written.noted:
        heard.note(names, minute)
    return Flushed(sent.statements, sent.stage_s)


async def resolve(connection: Connection, batches: Sequence[Batch], epochs: Mapping[int, int]) -> Resolution:
    """Find out what became of a flush, after waiting for the doubtful transaction to end.

    Raises:
        asyncpg.LockNotAvailableError: it has not ended within the lock timeout; ask again.
        asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError: ask again.
    """
    rows = await connection.fetch(STATEMENTS["lock_partition_rows"], [batch.partition for batch in batches])
    stands = {row["partition"]: (row["epoch"], row["next_offset"]) for row in rows}
    found = {_resolution(batch, epochs[batch.partition], *stands[batch.partition]) for batch in batches}
    # One transaction has one outcome; if the rows disagree, somebody else has been at work.
    return found.pop() if len(found) == 1 else Resolution.FENCED


def _resolution(batch: Batch, epoch: int, epoch_now: int, next_offset_now: int) -> Resolution:
    if epoch_now == epoch and next_offset_now == batch.next_offset:
        return Resolution.COMMITTED
    if epoch_now == epoch and next_offset_now == batch.first_offset:
        return Resolution.RETRY
    return Resolution.FENCED


async def _write(
    sent: Sent,
    batches: Sequence[Batch],
    epochs: Mapping[int, int],
    kinds: Mapping[int, str],
    cache: StoreCache,
    stamp: Stamp,
) -> _Written:
    await sent.execute("begin")
    await ledger.advance(sent, batches, epochs)
    await _check_catalog(sent, batches)
    sent.reached("check")
    await ledger.write_ledgers(sent, batches, epochs, stamp)
    await ledger.write_repairs(sent, batches)
    noted = await sources.write(sent, batches, epochs, cache)
    sent.reached("ledger")
    await ledger.write_ids(sent, batches)
    sent.reached("ids")
    series = await windows.write(sent, batches, kinds, cache)
    sent.reached("windows")
    await quarantine.write(sent, batches)
    sent.reached("quarantine")
    return _Written(series, noted)


async def _check_catalog(sent: Sent, batches: Sequence[Batch]) -> None:
    """The head is read by a statement of its own: its snapshot must be younger than the lock."""
    await sent.execute("share_catalog")
    ((head,),) = await sent.fetch("catalog_head")
    if any(batch.catalog_head != head for batch in batches):
        raise CatalogMoved(head)


async def _roll_back(connection: Connection, error: BaseException) -> None:
    """End the transaction. COMMIT was never sent, so the server ends it so even if it cannot be told."""
    if isinstance(error, StoreError | asyncpg.PostgresError) and not connection.is_closed():
        try:
            await connection.execute(STATEMENTS["rollback"])
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as trouble:
            error.add_note(f"and ROLLBACK failed: {trouble}")
        else:
            return
    connection.terminate()


async def _commit(sent: Sent, connection: Connection) -> None:
    try:
        tag = await sent.execute("commit")
    except BaseException as error:
        connection.terminate()
        raise UnknownOutcome from error
    if tag != "COMMIT":
        connection.terminate()
        raise RuntimeError(f"the server answered COMMIT with {tag}")
