"""Two small plans with lines of every kind: minimum and maximum, of a charge and of all, unpriced, ratios.

What they come to can be said by hand: `rated_twice` has the events.
"""

from typing import Any, Final

from integration.rating.world import DAY_US, World, us
from oracle.rated import HOUR_US, MINUTE_US

T0: Final = us("2026-03-02T00:00")
START: Final = "2026-03-02T00:00:00Z"
FIRST_CUT_US: Final = T0 + DAY_US + 15 * MINUTE_US
METERS: Final = """
meters:
  - {name: tokens, event_type: call, aggregation: sum, value: n, group_by: [model], window: 1h, grace: 15m,
     cardinality_limit: 3}
  - {name: calls, event_type: call, aggregation: count, window: 1h, grace: 15m}
"""
BOUNDED: Final[dict[str, Any]] = {
    "name": "bounded",
    "currency": "EUR",
    "rounding": {"places": 2},
    "minimum": 30,
    "charges": [
        {"name": "base", "flat": 10},
        {
            "name": "input",
            "meter": "tokens",
            "group_by": ["model"],
            "included": 100,
            "prices": [{"when": {"model": "small"}, "price": {"model": "per_unit", "unit_price": "0.01"}}],
            "other": {"model": "per_unit", "unit_price": "0.02"},
            "maximum": 5,
        },
        {
            "name": "calls",
            "meter": "calls",
            "price": {"model": "per_unit", "unit_price": "0.1"},
            "minimum": 2,
        },
    ],
}
CAPPED: Final[dict[str, Any]] = {
    "name": "capped",
    "currency": "EUR",
    "rounding": {"places": 2, "at": "total"},
    "maximum": 20,
    "charges": [
        {
            "name": "input",
            "meter": "tokens",
            "price": {"model": "per_unit", "per": 3, "unit_price": 1},
        }
    ],
}
SUBSCRIPTIONS: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": "acme-bounded",
        "customer": "acme",
        "subjects": ["acme"],
        "plan": "bounded",
        "start": START,
        "billing_period": "day",
        "thresholds": [{"charge": "input", "percent": 80}, {"amount": 25}],
    },
    {
        "name": "umbrella-capped",
        "customer": "umbrella",
        "subjects": ["umbrella"],
        "plan": "capped",
        "start": START,
        "billing_period": "day",
    },
)


async def apply(world: World) -> None:
    """Both plans, and a subscription to each."""
    await world.add_plan(BOUNDED)
    await world.add_plan(CAPPED)
    for subscription in SUBSCRIPTIONS:
        await world.add_subscription(subscription)


async def rated_twice(world: World) -> None:
    """The first day in two versions: of acme, the second changes units alone; of umbrella, money too."""
    world.advance(60)
    for model, number in (("small", 1100), ("large", 7), (None, 3), ("huge", 600), ("tiny", 400)):
        world.event("acme", {"n": number} if model is None else {"n": number, "model": model})
    world.event("umbrella", {"n": 50})
    world.now_us = FIRST_CUT_US
    world.tick()
    await world.count_close_rate()
    world.event("acme", {"n": 5, "model": "large"}, at_us=T0 + HOUR_US)
    world.event("umbrella", {"n": 50}, at_us=T0 + HOUR_US)
    world.now_us = FIRST_CUT_US + HOUR_US
    world.tick()
    await world.count_close_rate()
