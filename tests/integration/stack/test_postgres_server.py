"""A Postgres that tests hurt: what it does to its clients, and that it comes back with what was committed."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from metering.dev.postgres.server import PostgresServer

Harm = Callable[[PostgresServer], Awaitable[None]]


async def kill(server: PostgresServer) -> None:
    server.kill()


async def stop_fast(server: PostgresServer) -> None:
    await server.stop("fast")


async def stop_immediately(server: PostgresServer) -> None:
    await server.stop("immediate")


async def test_database_is_new_and_empty(database: str) -> None:
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await connection.close()


async def test_is_as_durable_as_in_production(own_postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(own_postgres.dsn())
    settings = [await connection.fetchval(f"SHOW {name}") for name in ("fsync", "synchronous_commit")]
    await connection.close()
    assert settings == ["on", "on"]


async def test_lets_nobody_in_without_its_password(own_postgres: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(own_postgres.dsn().replace("postgres:", "postgres:not-"))


@pytest.mark.parametrize("harm", [kill, stop_fast, stop_immediately])
async def test_comes_back_with_what_was_committed_and_no_more(
    harm: Harm, own_postgres: PostgresServer
) -> None:
    address, pid = own_postgres.dsn(), own_postgres.pid
    connection = await asyncpg.connect(address)
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    await connection.execute("BEGIN; INSERT INTO kept VALUES (43)")
    await harm(own_postgres)
    assert not await own_postgres.answers()
    connection.terminate()
    await own_postgres.start()
    assert own_postgres.pid not in {None, pid}
    again = await asyncpg.connect(address)
    assert [row["answer"] for row in await again.fetch("SELECT answer FROM kept")] == [42]
    await again.close()


async def test_frozen_it_is_silent_and_thawed_it_goes_on(own_postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(own_postgres.dsn())
    own_postgres.freeze()
    query = asyncio.create_task(connection.fetchval("SELECT 42"))
    newcomer = asyncio.create_task(asyncpg.connect(own_postgres.dsn()))
    done, _ = await asyncio.wait([query, newcomer], timeout=0.5)
    assert not done
    own_postgres.thaw()
    assert await query == 42
    await connection.close()
    await (await newcomer).close()


async def test_frozen_it_can_still_be_stopped(own_postgres: PostgresServer) -> None:
    own_postgres.freeze()
    await own_postgres.stop()
    assert not await own_postgres.answers()
