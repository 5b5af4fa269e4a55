"""A COMMIT whose outcome is unknown: never guessed, always found out."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from integration.store.batches import Spoken
from integration.store.conftest import Connect
from integration.store.counting import STAMP, Store
from support.postgres_wire import (
    CommitFault,
    HoldCommit,
    LoseCommitReply,
    SwallowCommit,
    dsn_through,
    postgres_proxy,
)
from support.proxy import Proxy

from aggregator.batch import Batch
from aggregator.store import doctor
from aggregator.store.cache import StoreCache
from aggregator.store.connection import StoreOptions, connect
from aggregator.store.errors import UnknownOutcome
from aggregator.store.flush import Resolution, flush, resolve


@pytest_asyncio.fixture
async def proxy(store: Store) -> AsyncIterator[Proxy]:
    """Stands before the worker's connection, which has everything ready but its commit."""
    proxy = postgres_proxy(store.dsn)
    await proxy.listen()
    store.worker.terminate()
    store.worker = await connect(
        dsn_through(proxy, store.dsn), StoreOptions(store.schema, "metering_worker", statement_timeout_s=1)
    )
    await store.flush(store.logs[0].batch([Spoken()]))
    yield proxy
    store.worker.terminate()
    await proxy.close()


@pytest.mark.parametrize(
    ("fault", "resolution"),
    [
        (LoseCommitReply(), Resolution.COMMITTED),
        (LoseCommitReply(then="silence"), Resolution.COMMITTED),
        (SwallowCommit(), Resolution.RETRY),
    ],
    ids=["reply lost", "silence", "commit lost"],
)
async def test_a_doubtful_commit_is_resolved(
    store: Store, proxy: Proxy, connected: Connect, fault: CommitFault, resolution: Resolution
) -> None:
    proxy.rule = fault
    cache, batch = StoreCache(), store.logs[0].batch([Spoken(subject="new")])
    with pytest.raises(UnknownOutcome):
        await flush(store.worker, [batch], store.epochs, store.kinds, cache, STAMP)
    assert store.worker.is_closed()
    assert len(cache) == 0
    await _resolved(store, connected, batch, resolution)


async def test_resolving_waits_for_a_commit_under_way(store: Store, proxy: Proxy, connected: Connect) -> None:
    held = HoldCommit()
    proxy.rule = held
    batch = store.logs[0].batch([Spoken()])
    flushing = asyncio.create_task(store.flush(batch))
    await held.happened.wait()
    fresh = await connected(role="metering_worker")
    resolving = asyncio.create_task(resolve(fresh, [batch], store.epochs))
    await store.until_lock_waits(1)
    assert not resolving.done()
    held.release()
    assert await resolving is Resolution.COMMITTED
    await flushing


async def test_a_commit_that_is_cancelled_is_doubtful(store: Store, proxy: Proxy, connected: Connect) -> None:
    held = HoldCommit()
    proxy.rule = held
    batch = store.logs[0].batch([Spoken()])
    flushing = asyncio.create_task(store.flush(batch))
    await held.happened.wait()
    flushing.cancel()
    with pytest.raises(UnknownOutcome):
        await flushing
    assert flushing.cancelling() == 1  # whoever called can still tell
    held.release()
    fresh = await connected(role="metering_worker")
    # What the proxy held arrives or not, as it likes: the answer is one of the two, and the tables agree.
    resolution = await resolve(fresh, [batch], store.epochs)
    assert resolution in (Resolution.COMMITTED, Resolution.RETRY)
    await _resolved(store, connected, batch, resolution)


async def test_what_is_lost_before_the_commit_is_no_doubt(
    store: Store, proxy: Proxy, connected: Connect
) -> None:
    batch = store.logs[0].batch([Spoken()])
    async with store.owner.transaction():
        await store.owner.execute("UPDATE ingest_partition SET tick = tick WHERE partition = 0")  # a lock
        flushing = asyncio.create_task(store.flush(batch))
        await store.until_lock_waits(1)
        proxy.cut()
        with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
            await flushing
    await _resolved(store, connected, batch, Resolution.RETRY)


async def test_a_partition_claimed_meanwhile_is_fenced(
    store: Store, proxy: Proxy, connected: Connect
) -> None:
    proxy.rule = LoseCommitReply()
    batch = store.logs[0].batch([Spoken()])
    with pytest.raises(UnknownOutcome):
        await store.flush(batch)
    epochs = dict(store.epochs)
    store.worker = await connected(role="metering_worker")
    await store.claim()
    assert await resolve(store.worker, [batch], epochs) is Resolution.FENCED


async def _resolved(store: Store, connected: Connect, batch: Batch, resolution: Resolution) -> None:
    """The tables agree with the resolution, and counting goes on from there."""
    store.worker = await connected(role="metering_worker")
    assert await resolve(store.worker, [batch], store.epochs) is resolution
    if resolution is Resolution.RETRY:
        await store.flush(batch)
    assert await store.rows("batch") == 2
    await store.flush(store.logs[0].batch([Spoken()]))
    assert await doctor.checks(store.owner) == []
