"""From a log to rated totals: first versions when due, later ones when adjustments change something."""

from decimal import Decimal
from typing import Any, Final

import asyncpg
import pytest
from integration.rating.conftest import Worlds
from integration.rating.world import DAY_US, World, us
from oracle.rated import HOUR_US, MINUTE_US

from aggregator.store import feed, rated
from schemas.rated import RatedTotalNotice

T0: Final = us("2026-03-02T00:00")
METERS: Final = """
meters:
  - {name: tokens, event_type: call, aggregation: sum, value: n, group_by: [model], window: 1h, grace: 15m}
"""
PLAN: Final[dict[str, Any]] = {
    "name": "pro",
    "currency": "EUR",
    "rounding": {"places": 2},
    "charges": [
        {
            "name": "input",
            "meter": "tokens",
            "price": {
                "model": "graduated",
                "per": 1000,
                "tiers": [{"up_to": 1000, "unit_price": 3}, {"unit_price": 2}],
            },
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
}


@pytest.fixture
async def world(worlds: Worlds) -> World:
    world = await worlds(METERS, T0)
    await world.add_plan(PLAN)
    await world.add_subscription(SUBSCRIPTION)
    return world


async def test_a_period_is_rated_when_every_frontier_has_passed_its_end_and_grace(world: World) -> None:
    world.advance(60)
    world.event("acme-eu", {"n": 1500, "model": "large"})
    world.now_us = T0 + DAY_US + 15 * MINUTE_US - 1000
    world.tick()
    await world.count_close_rate()
    assert await world.documents("acme-pro") == []
    world.now_us += 1000
    world.tick()
    await world.count_close_rate()
    (document,) = await world.documents("acme-pro")
    assert (document.version, document.amount, document.difference) == (1, "4", None)
    assert (document.period.start, document.period.end) == ("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z")
    assert document.cut == "2026-03-03T00:15:00Z"
    ((charge,),) = (segment.charges for segment in document.segments)
    (line,) = charge.lines
    assert (line.group, line.quantity, line.events, line.price) == ({}, "1500", 1, "default")
    assert [(tier.quantity, tier.amount) for tier in line.tiers] == [("1000", "3"), ("500", "1")]


async def test_adjustments_make_versions_at_their_cuts(world: World) -> None:
    world.advance(60)
    world.event("acme-eu", {"n": 1500, "model": "large"})
    first_cut_us = T0 + DAY_US + 15 * MINUTE_US
    for after_us, number in [
        (0, 1000),  # in the second version
        (59 * MINUTE_US, 500),  # in the same
        (61 * MINUTE_US, 0),  # changes nothing
        (150 * MINUTE_US, 500),  # in the fourth cut, which makes the third version
    ]:
        world.now_us = first_cut_us + after_us
        world.tick()
        await world.count_close_rate()
        world.event("acme-eu", {"n": number, "model": "large"}, at_us=T0 + HOUR_US)
    world.now_us = first_cut_us + 3 * HOUR_US
    world.tick()
    await world.count_close_rate()
    documents = await world.documents("acme-pro")
    assert [(one.version, one.cut, one.amount) for one in documents] == [
        (1, "2026-03-03T00:15:00Z", "4"),
        (2, "2026-03-03T01:15:00Z", "7"),
        (3, "2026-03-03T03:15:00Z", "8"),
    ]
    second, third = documents[1].difference, documents[2].difference
    assert second is not None
    assert third is not None
    assert (second.amount, [(one.quantity, one.amount) for one in second.lines]) == ("3", [("1500", "3")])
    assert (third.amount, [(one.quantity, one.amount) for one in third.lines]) == ("1", [("500", "1")])
    versions = await rated.versions(world.connection, "acme-pro", T0)
    assert [one.difference for one in versions] == [None, Decimal(3), Decimal(1)]
    entries = await feed.read(world.connection, 0, 10)
    notices = [RatedTotalNotice.model_validate_json(entry.payload) for entry in entries]
    assert [(notice.id, notice.amount) for notice in notices] == [
        ("acme-pro/2026-03-02T00:00:00Z/1", "4"),
        ("acme-pro/2026-03-02T00:00:00Z/2", "7"),
        ("acme-pro/2026-03-02T00:00:00Z/3", "8"),
    ]
    assert [entry.position for entry in entries] == [one.feed_position for one in versions]
    assert await world.connection.fetchval("SELECT count(*) FROM pending_cut") == 0


async def test_cuts_that_have_waited_together_make_their_versions_one_by_one(world: World) -> None:
    """So the versions do not depend on when the rater runs."""
    world.advance(60)
    world.event("acme-eu", {"n": 1500, "model": "large"})
    world.now_us = T0 + DAY_US + 15 * MINUTE_US
    world.tick()
    await world.count_close_rate()
    for number in (1000, 500):
        world.event("acme-eu", {"n": number, "model": "large"}, at_us=T0 + HOUR_US)
        world.now_us += HOUR_US
    world.tick()
    await world.count_close_rate()
    assert [(one.version, one.cut, one.amount) for one in await world.documents("acme-pro")] == [
        (1, "2026-03-03T00:15:00Z", "4"),
        (2, "2026-03-03T01:15:00Z", "6"),
        (3, "2026-03-03T02:15:00Z", "7"),
    ]


async def test_a_step_that_fails_at_its_end_leaves_all_of_it_to_the_next(world: World) -> None:
    """What is to be done is not forgotten before it is done: of first versions and of later ones."""
    world.advance(60)
    event = world.event("acme-eu", {"n": 1500, "model": "large"})
    world.now_us = T0 + DAY_US + 15 * MINUTE_US
    world.tick()
    await fails_once(world, "acme-pro/2026-03-02T00:00:00Z/1")
    assert [one.amount for one in await world.documents("acme-pro")] == ["4"]
    world.void(event)
    await world.count_all()
    world.now_us += HOUR_US
    world.tick()
    await fails_once(world, "acme-pro/2026-03-02T00:00:00Z/2")
    assert [one.amount for one in await world.documents("acme-pro")] == ["4", "0"]


async def fails_once(world: World, id_: str) -> None:
    """Rate while the feed has told of that version already, which it refuses to do twice; then once more."""
    before = await world.documents("acme-pro")
    await world.connection.execute(
        "INSERT INTO feed (position, kind, id, customer, subscription, payload) "
        "VALUES (1000, 'rated_total', $1, '', '', '{}')",
        id_,
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await world.count_close_rate()
    assert await world.documents("acme-pro") == before
    await world.connection.execute(
        "SET session_replication_role = replica"
    )  # without the trigger that refuses
    await world.connection.execute("DELETE FROM feed WHERE position = 1000")
    await world.connection.execute("RESET session_replication_role")
    await world.count_close_rate()
