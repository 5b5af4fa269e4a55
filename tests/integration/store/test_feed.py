"""A reader of the feed sees every entry once and in order, whatever writers do at the same time."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from integration.store.conftest import Connect

from aggregator.store import feed
from aggregator.store.connection import Connection
from aggregator.store.feed import Entry, News
from metering.dev.conditions import until

WRITERS, READERS, TRANSACTIONS = 4, 3, 25


def news(*ids: str, customer: str = "acme", kind: feed.Kind = "rated_total") -> list[News]:
    return [News(kind, one, customer, f"{customer}-pro", f'{{"id":"{one}"}}') for one in ids]


async def test_concurrent_writers_leave_no_gap_and_no_reader_misses_one(
    migrated: Connection, connected: Connect
) -> None:
    chance = random.Random(7)
    told: dict[int, str] = {}
    are_writing = True

    async def write(name: str, connection: Connection) -> None:
        for turn in range(TRANSACTIONS):
            ids = [f"{name}-{turn}-{place}" for place in range(chance.randint(0, 3))]
            transaction = connection.transaction()
            await transaction.start()
            positions = await feed.append(connection, news(*ids))
            await connection.fetchval("SELECT 1")  # others have their turn while this is open
            if chance.random() < 0.3:
                await transaction.rollback()
            else:
                await transaction.commit()
                told.update(zip(positions, ids, strict=True))

    async def read(connection: Connection, limit: int) -> list[Entry]:
        seen: list[Entry] = []
        while True:
            is_last = not are_writing
            entries = await feed.read(connection, seen[-1].position if seen else 0, limit)
            seen += entries
            if is_last and not entries:
                return seen

    readers = [
        asyncio.create_task(read(await connected(role="metering_reader"), limit))
        for limit in range(1, READERS + 1)
    ]
    writers = [await connected(role="metering_worker") for _ in range(WRITERS)]
    await asyncio.gather(*(write(f"writer {place}", writer) for place, writer in enumerate(writers)))
    are_writing = False
    assert sorted(told) == list(range(1, len(told) + 1))
    assert len(told) > WRITERS * TRANSACTIONS / 3
    for reader in readers:
        assert [(entry.position, entry.id) for entry in await reader] == sorted(told.items())
    assert await feed.end(migrated) == len(told)


async def _first_open_second_committed(
    connected: Connect, write: Callable[[Connection, str], Awaitable[object]], watch: Connection
) -> list[str]:
    """What a reader finds, who asks again and again only for what is after the last that it has."""
    one, other, reader = await connected(), await connected(), await connected()
    seen: list[str] = []
    after = 0

    async def read() -> None:
        nonlocal after
        rows = await reader.fetch("SELECT position, id FROM told WHERE position > $1 ORDER BY 1", after)
        seen.extend(row["id"] for row in rows)
        after = max([after, *(row["position"] for row in rows)])

    async def second() -> None:
        async with other.transaction():
            await write(other, "second")

    async def second_waits_or_is_done() -> bool:
        waiting = await watch.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock')",
            other.get_server_pid(),
        )
        return bool(waiting) or task.done()

    async with one.transaction():
        await write(one, "first")
        task = asyncio.create_task(second())
        assert await until(second_waits_or_is_done, deadline_s=20)
        await read()
    await task
    await read()
    return seen


async def test_a_later_position_does_not_show_before_an_earlier_one(
    migrated: Connection, connected: Connect
) -> None:
    await migrated.execute("CREATE VIEW told AS SELECT position, id FROM feed")

    async def write(connection: Connection, name: str) -> None:
        await feed.append(connection, news(name))

    assert await _first_open_second_committed(connected, write, migrated) == ["first", "second"]


async def test_a_plain_sequence_would_be_seen_to_skip(migrated: Connection, connected: Connect) -> None:
    """The test above can fail."""
    await migrated.execute("CREATE TABLE told (position bigserial PRIMARY KEY, id text)")

    async def write(connection: Connection, name: str) -> None:
        await connection.execute("INSERT INTO told (id) VALUES ($1)", name)

    assert await _first_open_second_committed(connected, write, migrated) == ["second"]


async def test_readers_choose_customers_and_kinds(migrated: Connection) -> None:
    async with migrated.transaction():
        await feed.append(migrated, news("a1", "a2"))
        await feed.append(migrated, news("b1", customer="bolt"))
        await feed.append(migrated, news("t1", kind="threshold"))
        await feed.append(migrated, news("c1", customer="coda"))
        await feed.append(migrated, news("a3"))

    async def ids(after: int = 0, limit: int = 10, **chosen: object) -> list[str]:
        return [entry.id for entry in await feed.read(migrated, after, limit, **chosen)]  # type: ignore[arg-type]

    assert await ids() == ["a1", "a2", "b1", "t1", "c1", "a3"]
    assert await ids(2, 3) == ["b1", "t1", "c1"]
    assert await ids(kind="threshold") == ["t1"]
    assert await ids(1, 2, kind="rated_total") == ["a2", "b1"]
    assert await ids(customers=["acme"]) == ["a1", "a2", "t1", "a3"]
    assert await ids(1, 2, customers=["acme", "bolt", "bolt"]) == ["a2", "b1"]
    assert await ids(customers=["acme", "coda"], kind="rated_total") == ["a1", "a2", "c1", "a3"]
    assert await ids(customers=[]) == []
    assert await ids(6) == []


async def test_one_thing_is_told_once(migrated: Connection) -> None:
    async with migrated.transaction():
        await feed.append(migrated, news("once"))
    with pytest.raises(asyncpg.UniqueViolationError):
        async with migrated.transaction():
            await feed.append(migrated, news("once"))
    assert await feed.end(migrated) == 1
    with pytest.raises(RuntimeError, match="transaction"):
        await feed.append(migrated, news("without a transaction"))
