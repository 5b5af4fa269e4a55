"""A catalog with every aggregation, roll-up and price model, its rules for the oracle, and logs for it."""

from collections.abc import Mapping
from fractions import Fraction
from random import Random
from typing import Any, Final

from integration.rating.world import DAY_US, World, us
from oracle.rated import HOUR_US, MINUTE_US, ChargeRule, MeterRule

T0: Final = us("2026-03-02T00:00")
CHANGED_US: Final = T0 + 30 * HOUR_US  # in the second day of most
END_US: Final = T0 + 2 * DAY_US
"""Periods until here are rated."""

METERS: Final = """
meters:
  - {name: tokens, event_type: call, aggregation: sum, value: n, group_by: [model], window: 1h, grace: 15m}
  - {name: calls, event_type: call, aggregation: count, window: 15m, grace: 0s}
  - {name: peak, event_type: call, aggregation: max, value: n, window: 15m, grace: 1h}
  - {name: least, event_type: call, aggregation: min, value: n, window: 1h, grace: 0s}
  - {name: newest, event_type: call, aggregation: last, value: n, window: 15m, grace: 15m}
  - {name: models, event_type: call, aggregation: unique, value: model, window: 1h, grace: 15m}
  - {name: level, event_type: level, aggregation: gauge, value: n, group_by: [disk, zone], window: 15m,
     grace: 30m}
"""

TOKENS = MeterRule("call", "sum", "n", HOUR_US, 15 * MINUTE_US)
CALLS = MeterRule("call", "count", None, 15 * MINUTE_US, 0)
PEAK = MeterRule("call", "max", "n", 15 * MINUTE_US, HOUR_US)
LEAST = MeterRule("call", "min", "n", HOUR_US, 0)
NEWEST = MeterRule("call", "last", "n", 15 * MINUTE_US, 15 * MINUTE_US)
MODELS = MeterRule("call", "unique", "model", HOUR_US, 15 * MINUTE_US)
LEVEL = MeterRule("level", "gauge", "n", 15 * MINUTE_US, 30 * MINUTE_US, ("disk", "zone"))
GREATEST_GRACE_US: Final = HOUR_US

GRADUATED: Final = {
    "model": "graduated",
    "per": 100,
    "tiers": [
        {"up_to": 500, "unit_price": 3, "flat": "0.5"},
        {"up_to": 900, "unit_price": 2},
        {"unit_price": "1.37"},
    ],
}
VOLUME: Final = {
    "model": "volume",
    "tiers": [
        {"up_to": 50, "unit_price": "0.11"},
        {"up_to": 500, "unit_price": "0.07", "flat": 1},
        {"unit_price": "0.03"},
    ],
}
PACKAGE: Final = {"model": "package", "size": 7, "unit_price": "1.25"}
UNIT: Final = {"model": "per_unit", "unit_price": "0.333", "per": 3}
DEAR: Final = {"model": "per_unit", "unit_price": "0.0371"}

FLAT: Final = Fraction(20)
RULES: Final[Mapping[str, ChargeRule]] = {
    "tokens": ChargeRule(
        TOKENS,
        group_by=("model",),
        included=Fraction(60),
        price=GRADUATED,
        prices=[({"model": "large"}, DEAR)],
    ),
    "tokens-p95": ChargeRule(TOKENS, "p95", price=VOLUME),
    "calls": ChargeRule(CALLS, price=PACKAGE),
    "calls-avg": ChargeRule(CALLS, "avg", price=UNIT),
    "peaks": ChargeRule(PEAK, "sum_of_max", price=UNIT),
    "peak": ChargeRule(PEAK, price=VOLUME),
    "peak-p95": ChargeRule(PEAK, "p95", price=DEAR),
    "least": ChargeRule(LEAST, price=UNIT),
    "newest": ChargeRule(NEWEST, price=DEAR),
    "models": ChargeRule(MODELS, price=GRADUATED),
    "level": ChargeRule(LEVEL, "integral", price=GRADUATED),
    "level-by-disk": ChargeRule(LEVEL, "time_average", group_by=("disk",), price=UNIT),
    "level-now": ChargeRule(LEVEL, price=VOLUME),
}
METER_OF: Final = {
    "tokens": "tokens",
    "tokens-p95": "tokens",
    "calls": "calls",
    "calls-avg": "calls",
    "peaks": "peak",
    "peak": "peak",
    "peak-p95": "peak",
    "least": "least",
    "newest": "newest",
    "models": "models",
    "level": "level",
    "level-by-disk": "level",
    "level-now": "level",
}
NEW_PRICES: Final = {"tokens": UNIT, "calls": DEAR}
"""Of the second version of the plan."""

SUBSCRIPTIONS: Final[Mapping[str, dict[str, Any]]] = {
    "daily": {
        "subjects": ["subject-0", "subject-1"],
        "billing_period": "day",
        "start": "2026-03-02T00:00:00Z",
    },
    "hourly": {
        "subjects": ["subject-2"],
        "billing_period": "hour",
        "start": "2026-03-02T00:00:00Z",
        "end": "2026-03-02T12:00:00Z",
    },
    "berlin": {
        "subjects": ["subject-3"],
        "billing_period": "day",
        "start": "2026-03-02T05:00:00Z",
        "anchor": "2026-03-02",
        "timezone": "Europe/Berlin",
    },
}
MORE_SUBJECTS: Final = ["subject-0", "subject-1", "subject-4"]
"""Of the second version of `daily`."""

PERIODS: Final = {"daily": 2, "hourly": 12, "berlin": 2}
"""How many of each are final at the end of a log."""

MODELS_USED: Final = ("small", "large", None)


def rule(charge: str, plan_version: int) -> ChargeRule:
    """The rule of a charge in a version of the plan."""
    one = RULES[charge]
    if plan_version == 1 or charge not in NEW_PRICES:
        return one
    return ChargeRule(
        one.meter, one.rollup, one.per_us, one.group_by, one.included, NEW_PRICES[charge], one.prices
    )


def plan(version: int) -> dict[str, Any]:
    charges: list[dict[str, Any]] = [{"name": "base", "flat": int(FLAT)}]
    for name in RULES:
        one = rule(name, version)
        charge = {
            "name": name,
            "meter": METER_OF[name],
            "rollup": one.rollup,
            "group_by": list(one.group_by),
            "included": str(one.included),
            "price": one.price,
            "prices": [
                {"when": {key: [text] for key, text in when.items()}, "price": price}
                for when, price in one.prices
            ],
        }
        charges.append({**charge, "per": "hour"} if one.rollup == "integral" else charge)
    return {"name": "all", "currency": "EUR", "rounding": {"places": 2}, "charges": charges}


async def apply(world: World) -> None:
    """The catalog; its changes are known from the start, like those of a replay."""
    await world.add_plan(plan(1))
    await world.add_plan(plan(2), CHANGED_US)
    for name, fields in SUBSCRIPTIONS.items():
        await world.add_subscription({"name": name, "customer": f"of {name}", "plan": "all", **fields})
    daily = SUBSCRIPTIONS["daily"] | {"subjects": MORE_SUBJECTS}
    await world.add_subscription(
        {"name": "daily", "customer": "of daily", "plan": "all", **daily}, CHANGED_US
    )


def write(world: World, chance: Random, events: int) -> None:
    """Append events, late ones and voids, on whole minutes; the log ends half a day after the end."""
    step = (END_US - T0) // MINUTE_US // events * 2
    told = []
    for _ in range(events):
        world.advance(chance.randint(0, step))
        if told and chance.random() < 0.12:
            world.void(told.pop(chance.randrange(len(told))))
            continue
        late = chance.choice([0, 0, 0, 0, 10, 50, 70, 200, 1500])
        subject = f"subject-{chance.randint(0, 5)}"
        at_us = max(world.now_us - late * MINUTE_US, T0)
        if chance.random() < 0.3:
            data = {
                "n": chance.randint(0, 30),
                "disk": chance.choice(["a", "b"]),
                "zone": chance.choice(["x", "y"]),
            }
            told.append(world.event(subject, data, at_us=at_us, type_="level"))
        else:
            data = {"n": chance.choice([chance.randint(0, 300), "0.125", "17.5"])}
            model = chance.choice(MODELS_USED)
            told.append(world.event(subject, data if model is None else data | {"model": model}, at_us=at_us))
        if chance.random() < 0.1:
            world.tick()
    world.now_us = max(world.now_us, END_US) + DAY_US // 2
    world.tick()
