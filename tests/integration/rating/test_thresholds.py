"""Crossing a threshold is news once, whenever the rater looks and however often it is started anew."""

import json
from typing import Any, Final

import pytest
from integration.rating.conftest import Worlds
from integration.rating.world import DAY_US, World, us
from oracle.rated import MINUTE_US

from aggregator.store import feed, terms
from metering.rater.watch import ThresholdWatch

T0: Final = us("2026-03-02T00:00")
METERS: Final = """
meters:
  - {name: tokens, event_type: call, aggregation: sum, value: n, window: 1h, grace: 15m}
"""
PLAN: Final[dict[str, Any]] = {
    "name": "pro",
    "currency": "EUR",
    "rounding": {"places": 2},
    "charges": [
        {
            "name": "input",
            "meter": "tokens",
            "included": 100,
            "price": {"model": "per_unit", "unit_price": 2},
        }
    ],
}
SUBSCRIPTION: Final[dict[str, Any]] = {
    "name": "acme-pro",
    "customer": "acme",
    "subjects": ["acme-eu"],
    "plan": "pro",
    "start": "2026-03-02T00:00:00Z",
    "billing_period": "day",
    "thresholds": [
        {"charge": "input", "percent": 80},
        {"charge": "input", "percent": 100},
        {"amount": 50},
    ],
}


@pytest.fixture
async def world(worlds: Worlds) -> World:
    world = await worlds(METERS, T0)
    await world.add_plan(PLAN)
    await world.add_subscription(SUBSCRIPTION)
    return world


async def used(world: World, quantity: int) -> None:
    world.advance(1)
    world.event("acme-eu", {"n": quantity})
    await world.count_all()


async def news(world: World) -> list[str]:
    entries = await feed.read(world.connection, 0, 1000, kind="threshold")
    crossings = await world.connection.fetch("SELECT threshold FROM threshold_crossing")
    texts = [json.loads(entry.payload)["threshold"] for entry in entries]
    assert sorted(texts) == sorted(row["threshold"] for row in crossings)
    return texts


async def test_each_threshold_is_news_when_usage_reaches_it_and_never_again(world: World) -> None:
    expected: list[str] = []
    for quantity, crossed in [
        (79, []),
        (1, ["input 80%"]),  # exactly 80
        (19, []),
        (1, ["input 100%"]),  # exactly 100
        (24, []),  # 48.00
        (1, ["amount 50"]),  # exactly 50.00
        (500, []),
    ]:
        await used(world, quantity)
        await world.rate()
        expected += crossed
        assert await news(world) == expected
        await world.rate()
        world.rater = None  # as after a crash: it remembers nothing
        await world.rate()
        assert await news(world) == expected


async def test_a_leap_over_all_of_them_is_news_of_each(world: World) -> None:
    await used(world, 1_000)
    await world.rate()
    assert sorted(await news(world)) == ["amount 50", "input 100%", "input 80%"]


async def test_what_nobody_saw_in_time_is_news_when_the_period_is_rated(world: World) -> None:
    await used(world, 1_000)
    world.now_us = T0 + DAY_US + 15 * MINUTE_US
    world.tick()
    await world.count_close_rate()
    assert len(await world.documents("acme-pro")) == 1
    assert sorted(await news(world)) == ["amount 50", "input 100%", "input 80%"]


async def test_what_is_withdrawn_after_the_news_and_used_again_is_no_news(world: World) -> None:
    world.advance(1)
    event = world.event("acme-eu", {"n": 90})
    await world.count_all()
    await world.rate()
    world.void(event)
    await world.count_all()
    await world.rate()
    await used(world, 90)
    await world.rate()
    assert await news(world) == ["input 80%"]


async def test_each_period_has_its_own(world: World) -> None:
    await used(world, 80)
    await world.rate()
    world.now_us = T0 + DAY_US + MINUTE_US
    await used(world, 80)
    await world.rate()
    assert await news(world) == ["input 80%", "input 80%"]


async def test_what_can_be_rated_is_not_looked_at_but_rated(world: World) -> None:
    """Days that wait for the rater may be many: each tells of its thresholds when it is rated, and once."""
    for _ in range(3):
        await used(world, 80)
        world.now_us += DAY_US
    world.tick()
    await world.count_all()
    await world.close()  # two of the three days, and their grace
    watch, catalog = ThresholdWatch(), await terms.rating_catalog(world.connection, None)
    assert await watch.look(world.rater_connection, catalog) == 1
    (entry,) = await feed.read(world.connection, 0, 10)
    assert entry.id == "acme-pro/2026-03-04T00:00:00Z/input 80%"
    await world.rate()
    assert await news(world) == ["input 80%"] * 3
