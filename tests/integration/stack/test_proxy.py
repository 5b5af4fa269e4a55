"""The proxy does to a connection what it says; the Postgres behind it is the witness."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from support.postgres_wire import (
    CommitFault,
    HoldCommit,
    LoseCommitReply,
    SwallowCommit,
    dsn_through,
    postgres_proxy,
)
from support.proxy import Proxy

from metering.dev.conditions import until

LOST = (ConnectionError, asyncpg.PostgresConnectionError)


@pytest_asyncio.fixture
async def proxy(database: str) -> AsyncIterator[Proxy]:
    proxy = postgres_proxy(database)
    await proxy.listen()
    yield proxy
    await proxy.close()


@pytest.fixture
def proxied(database: str, proxy: Proxy) -> str:
    return dsn_through(proxy, database)


@pytest_asyncio.fixture
async def witness(database: str) -> AsyncIterator[asyncpg.Connection]:
    """Sees the table from beside the proxy."""
    connection = await asyncpg.connect(database)
    await connection.execute("CREATE TABLE counted (id int)")
    yield connection
    await connection.close()


async def rows(witness: asyncpg.Connection) -> int:
    counted = await witness.fetchval("SELECT count(*) FROM counted")
    assert isinstance(counted, int)
    return counted


async def doubt_is_over(witness: asyncpg.Connection) -> None:
    """Wait until the server has ended the transaction that wrote to the table."""
    async with witness.transaction():
        await witness.execute("LOCK counted")


async def insert(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO counted VALUES (1)")


async def test_passes_everything_on(proxied: str, witness: asyncpg.Connection) -> None:
    connection = await asyncpg.connect(proxied)
    await insert(connection)
    await connection.copy_records_to_table("counted", records=[(number,) for number in range(100_000)])
    await connection.close()
    assert await rows(witness) == 100_001


async def test_a_lost_commit_reply_leaves_the_commit_done(
    proxy: Proxy, proxied: str, witness: asyncpg.Connection
) -> None:
    connection = await asyncpg.connect(proxied)
    proxy.rule = LoseCommitReply()
    with pytest.raises(LOST):
        await insert(connection)
    assert await rows(witness) == 1


async def test_a_lost_commit_reply_may_be_followed_by_silence(
    proxy: Proxy, proxied: str, witness: asyncpg.Connection
) -> None:
    connection = await asyncpg.connect(proxied)
    proxy.rule = fault = LoseCommitReply(then="silence")
    unanswered = asyncio.create_task(insert(connection))
    await fault.happened.wait()
    assert await rows(witness) == 1
    assert not unanswered.done()
    connection.terminate()
    with pytest.raises(LOST):
        await unanswered


async def test_a_swallowed_commit_is_never_done(
    proxy: Proxy, proxied: str, witness: asyncpg.Connection
) -> None:
    connection = await asyncpg.connect(proxied)
    proxy.rule = SwallowCommit()
    with pytest.raises(LOST):
        await insert(connection)
    await doubt_is_over(witness)
    assert await rows(witness) == 0


async def test_a_held_commit_is_done_when_released_though_the_client_has_given_up(
    proxy: Proxy, proxied: str, witness: asyncpg.Connection
) -> None:
    connection = await asyncpg.connect(proxied)
    proxy.rule = fault = HoldCommit()
    doubtful = asyncio.create_task(insert(connection))
    await fault.happened.wait()
    connection.terminate()
    with pytest.raises(LOST):
        await doubtful
    assert await rows(witness) == 0
    fault.release()

    async def one_row() -> bool:
        return await rows(witness) == 1

    assert await until(one_row, deadline_s=10)


@pytest.mark.parametrize("fault", [LoseCommitReply, SwallowCommit])
async def test_a_fault_may_wait_for_a_later_commit(
    fault: type[CommitFault], proxy: Proxy, proxied: str, witness: asyncpg.Connection
) -> None:
    connection = await asyncpg.connect(proxied)
    proxy.rule = fault(skip=2)
    await insert(connection)
    await insert(connection)
    assert await rows(witness) == 2
    with pytest.raises(LOST):
        await insert(connection)


async def test_a_commit_is_seen_in_the_extended_protocol_too(
    proxy: Proxy, proxied: str, witness: asyncpg.Connection
) -> None:
    connection = await asyncpg.connect(proxied)
    proxy.rule = SwallowCommit()
    await connection.execute("BEGIN")
    await connection.execute("INSERT INTO counted VALUES ($1)", 1)
    with pytest.raises(LOST):
        await connection.fetch("COMMIT")
    await doubt_is_over(witness)
    assert await rows(witness) == 0


async def test_frozen_connections_stay_open_and_go_on_when_thawed(proxy: Proxy, proxied: str) -> None:
    connection = await asyncpg.connect(proxied)
    proxy.freeze()
    query = asyncio.create_task(connection.fetchval("SELECT 42"))
    done, _ = await asyncio.wait([query], timeout=0.3)
    assert not done
    proxy.thaw()
    assert await query == 42
    await connection.close()


async def test_cut_resets_what_is_connected_and_takes_new_connections(proxy: Proxy, proxied: str) -> None:
    connection = await asyncpg.connect(proxied)
    assert proxy.connections == 1
    proxy.cut()
    with pytest.raises(LOST):
        await connection.fetchval("SELECT 1")
    again = await asyncpg.connect(proxied)
    assert await again.fetchval("SELECT 42") == 42
    await again.close()


async def test_refused_connections_come_through_after_listening_again(proxy: Proxy, proxied: str) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(proxied)
    await proxy.listen()
    connection = await asyncpg.connect(proxied)
    assert await connection.fetchval("SELECT 42") == 42
    await connection.close()


async def test_latency_delays_each_answer_there_and_back(proxy: Proxy, proxied: str) -> None:
    connection = await asyncpg.connect(proxied)
    clock = asyncio.get_running_loop()
    proxy.latency_s = 0.2
    asked_s = clock.time()
    await connection.execute("SELECT 1")
    assert clock.time() - asked_s >= 0.4  # a lower bound by construction: no machine is too slow for it
    proxy.latency_s = 0.0
    await connection.close()
