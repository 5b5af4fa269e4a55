"""The same log and catalog give the same bytes, however it is counted and whenever it is closed and rated."""

import asyncio
import uuid
from random import Random
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from integration.rating import everything
from integration.rating.world import PARTITIONS, World

MAX_EXAMPLES: Final = 8

steps = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.integers(0, PARTITIONS - 1), st.integers(1, 60)),
        st.just(("close",)),
        st.just(("rate",)),
        st.just(("rate once",)),
        st.just(("restart",)),
    ),
    min_size=10,
    max_size=60,
)


async def made(dsn: str, seed: int) -> World:
    world = await World.made(dsn, f"test_{uuid.uuid4().hex[:12]}", everything.METERS, everything.T0)
    await everything.apply(world)
    everything.write(world, Random(seed), 80)
    return world


async def step(world: World, name: str, *arguments: int) -> None:
    match name:
        case "count":
            await world.count(*arguments)
        case "close":
            await world.close()
        case "rate":
            await world.rate()
        case "rate once":
            await world.rate(steps=1)
        case "restart":
            world.rater = None


async def rated(world: World) -> list[tuple[Any, ...]]:
    """All that a version is, but for when it was written and where it stands in the feed."""
    rows = await world.connection.fetch(
        "SELECT subscription, period_start, version, cut, customer, amount, difference, digest,"
        " document::text FROM rated_total ORDER BY 1, 2, 3"
    )
    return [tuple(row) for row in rows]


async def feed_positions(world: World) -> list[int]:
    rows = await world.connection.fetch("SELECT position FROM feed ORDER BY position")
    return [row["position"] for row in rows]


@settings(max_examples=MAX_EXAMPLES)
@given(seed=st.integers(0, 1000), taken=steps)
def test_documents_do_not_depend_on_batches_nor_on_when_the_rater_runs(
    rating_database: str, seed: int, taken: list[tuple[Any, ...]]
) -> None:
    async def compare() -> None:
        plain, other = await made(rating_database, seed), await made(rating_database, seed)
        try:
            await plain.count_all()
            await plain.close()
            await plain.rate()
            for one in taken:
                await step(other, *one)
            await other.count_all()
            await other.close()
            await other.rate()
            expected = await rated(plain)
            assert len(expected) > sum(everything.PERIODS.values())
            assert await rated(other) == expected
            for world in (plain, other):
                positions = await feed_positions(world)
                assert positions == list(range(1, len(positions) + 1))
                assert len(positions) == len(expected)
        finally:
            await plain.close_connections()
            await other.close_connections()

    asyncio.run(compare())
