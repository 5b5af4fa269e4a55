"""From a log to what nobody pays for, and to who has fallen silent, with the money at risk."""

from fractions import Fraction
from typing import Any, Final

from integration.rating.conftest import Worlds
from integration.rating.test_versions import PLAN, SUBSCRIPTION, T0
from integration.rating.world import DAY_US, World
from oracle.rated import HOUR_US, MINUTE_US

from aggregator.store import silence, terms, unrated
from aggregator.store.reading import Stretch
from aggregator.store.unrated import Page, Place, Unrated

METERS: Final = """
meters:
  - {name: tokens, event_type: call, aggregation: sum, value: n, group_by: [model], window: 1h, grace: 15m}
  - {name: peak, event_type: call, aggregation: max, value: n, window: 1h, grace: 15m}
  - {name: users, event_type: call, aggregation: unique, value: user, window: 1h, grace: 15m}
  - {name: stored, event_type: level, aggregation: gauge, value: gib, window: 1h, grace: 15m}
"""
CHARGES: Final[list[dict[str, Any]]] = [
    {
        "name": "input",
        "meter": "tokens",
        "group_by": ["model"],
        "prices": [
            {"when": {"model": "small"}, "price": {"model": "per_unit", "unit_price": 1, "per": 1000}},
            {"when": {"model": "large"}, "price": {"model": "package", "size": 1000, "unit_price": 2}},
        ],
    },
    {
        "name": "peaks",
        "meter": "peak",
        "rollup": "sum_of_max",
        "price": {"model": "per_unit", "unit_price": 2},
    },
    {"name": "seats", "meter": "users", "price": {"model": "per_unit", "unit_price": 5}},
    {
        "name": "disk",
        "meter": "stored",
        "rollup": "integral",
        "per": "hour",
        "price": {"model": "per_unit", "unit_price": "0.1"},
    },
]
CHEAP: Final = {**PLAN, "name": "cheap", "charges": CHARGES}


async def read(world: World, limit: int = 100, **changes: Any) -> list[Unrated]:
    catalog = await terms.rating_catalog(world.connection)
    query = unrated.Query(catalog.meters, None, None, Stretch(None, None))
    for name, value in changes.items():
        query = unrated.Query(**{**{one: getattr(query, one) for one in query.__slots__}, name: value})
    found: list[Unrated] = []
    after: Place | None = None
    while True:
        async with world.connection.transaction(isolation="repeatable_read", readonly=True):
            page: Page = await unrated.page(world.connection, query, after, limit)
            found += await unrated.estimated(world.connection, catalog.meters, catalog.plans, page.rows)
        if page.end is None:
            return found
        assert len(page.rows) <= limit
        after = page.end


def shown(one: Unrated) -> tuple[object, ...]:
    return (
        one.usage.meter,
        one.usage.subject,
        one.usage.reason.value,
        one.usage.group,
        (one.usage.start_us - T0) // HOUR_US,
        (one.usage.end_us - T0) // HOUR_US,
        one.usage.events,
        one.quantity,
        [(two.currency, two.least, two.least_plan, two.most, two.most_plan) for two in one.at_risk],
        one.not_estimated,
    )


async def counted(worlds: Worlds) -> World:
    world = await worlds(METERS, T0)
    await world.add_plan(PLAN)
    await world.add_plan(CHEAP)
    await world.add_plan({**PLAN, "name": "dollars", "currency": "USD"})
    await world.add_subscription(SUBSCRIPTION)
    await world.add_subscription(
        {
            **SUBSCRIPTION,
            "name": "umbrella",
            "customer": "umbrella",
            "subjects": ["umbrella"],
            "plan": "cheap",
        }
    )
    for hour, subject, number, model, user in (
        (-1, "acme-eu", 10, "small", "ann"),
        (1, "acme-eu", 20, "small", "ann"),
        (1, "nobody", 900, "small", "ann"),
        (2, "nobody", 600, "large", "bob"),
        (2, "nobody", 500, "large", "ann"),
        (3, "umbrella", 70, "tiny", "eve"),
        (3, "umbrella", 80, "small", "eve"),
        (4, "umbrella", 90, "tiny", "eve"),
    ):
        world.now_us = T0 + hour * HOUR_US + 5 * MINUTE_US
        world.event(subject, {"n": number, "model": model, "user": user})
    world.now_us = T0 + 5 * HOUR_US
    world.event("nobody", {"gib": 3}, type_="level")
    world.now_us += 30 * MINUTE_US
    world.event("nobody", {"gib": 1}, type_="level")
    world.tick()
    await world.count_close_rate()
    return world


async def test_each_reason_is_told_with_units_and_money(worlds: Worlds) -> None:
    world = await counted(worlds)
    pro = Fraction("5")  # 1000 at 3 per 1000, and 1000 at 2 per 1000
    rows = await read(world)
    assert [shown(one) for one in rows] == [
        (
            "peak",
            "acme-eu",
            "outside_subscription",
            {},
            -1,
            0,
            1,
            10,
            [("EUR", 20, "cheap", 20, "cheap")],
            None,
        ),
        ("peak", "acme-eu", "no_charge", {}, 1, 2, 1, 20, [("EUR", 40, "cheap", 40, "cheap")], None),
        # 900 in one hour and 600 in the other
        (
            "peak",
            "nobody",
            "no_subscription",
            {},
            1,
            3,
            3,
            900,
            [("EUR", 3000, "cheap", 3000, "cheap")],
            None,
        ),
        # 3 GiB for half an hour, 1 GiB for another
        (
            "stored",
            "nobody",
            "no_subscription",
            {},
            5,
            6,
            2,
            1,
            [("EUR", Fraction("0.2"), "cheap", Fraction("0.2"), "cheap")],
            None,
        ),
        (
            "tokens",
            "acme-eu",
            "outside_subscription",
            {},
            -1,
            0,
            1,
            10,
            [
                ("EUR", Fraction("0.01"), "cheap", Fraction("0.03"), "pro"),
                ("USD", Fraction("0.03"), "dollars", Fraction("0.03"), "dollars"),
            ],
            None,
        ),
        # 900 small ones at 1 per 1000, and 1100 large ones in two packages
        (
            "tokens",
            "nobody",
            "no_subscription",
            {},
            1,
            3,
            3,
            2000,
            [("EUR", Fraction("4.9"), "cheap", pro, "pro"), ("USD", pro, "dollars", pro, "dollars")],
            None,
        ),
        (
            "tokens",
            "umbrella",
            "no_price",
            {"model": "tiny"},
            3,
            5,
            2,
            160,
            [
                ("EUR", Fraction("0.48"), "pro", Fraction("0.48"), "pro"),
                ("USD", Fraction("0.48"), "dollars", Fraction("0.48"), "dollars"),
            ],
            None,
        ),
        (
            "users",
            "acme-eu",
            "outside_subscription",
            {},
            -1,
            0,
            1,
            1,
            [("EUR", 5, "cheap", 5, "cheap")],
            None,
        ),
        ("users", "acme-eu", "no_charge", {}, 1, 2, 1, 1, [("EUR", 5, "cheap", 5, "cheap")], None),
        ("users", "nobody", "no_subscription", {}, 1, 3, 3, 2, [("EUR", 10, "cheap", 10, "cheap")], None),
    ]
    for limit in (1, 3):
        assert await read(world, limit) == rows
    catalog = await terms.rating_catalog(world.connection)
    assert await unrated.events(world.connection, catalog.meters) == sum(one.usage.events for one in rows)


async def test_only_what_is_asked_for_is_told(worlds: Worlds) -> None:
    world = await counted(worlds)
    every = [shown(one) for one in await read(world)]
    assert [shown(one) for one in await read(world, subject="nobody")] == [
        one for one in every if one[1] == "nobody"
    ]
    span = Stretch(T0 + HOUR_US, T0 + 2 * HOUR_US)
    assert [one[:7] for one in map(shown, await read(world, span=span)) if one[0] == "users"] == [
        ("users", "acme-eu", "no_charge", {}, 1, 2, 1),
        ("users", "nobody", "no_subscription", {}, 1, 2, 1),
    ]
    seen = {"acme-eu": [Stretch(T0, None)], "umbrella": [Stretch(T0, T0 + 4 * HOUR_US)]}
    assert [one[:7] for one in map(shown, await read(world, visible=seen))] == [
        ("peak", "acme-eu", "no_charge", {}, 1, 2, 1),
        ("tokens", "umbrella", "no_price", {"model": "tiny"}, 3, 4, 1),
        ("users", "acme-eu", "no_charge", {}, 1, 2, 1),
    ]


async def test_what_no_plan_has_a_price_for_is_not_estimated(worlds: Worlds) -> None:
    world = await worlds(METERS, T0)
    await world.add_plan({**PLAN, "name": "cheap", "charges": CHARGES[:1]})
    world.event("nobody", {"n": 1, "model": "tiny", "user": "ann"})
    world.tick()
    await world.count_all()
    found = {one.usage.meter: (one.at_risk, one.not_estimated) for one in await read(world)}
    assert found == {
        "peak": ([], "no_plan"),
        "tokens": ([], "no_plan_prices_all"),
        "users": ([], "no_plan"),
    }


async def test_a_silence_puts_at_risk_what_the_last_whole_period_before_came_to(worlds: Worlds) -> None:
    world = await worlds(METERS, T0)
    await world.add_plan(PLAN)
    await world.add_subscription(SUBSCRIPTION)
    await world.add_subscription({**SUBSCRIPTION, "name": "new", "subjects": ["new"]})
    await world.add_subscription({**SUBSCRIPTION, "name": "never", "subjects": ["never"]})
    for hour, number in ((2, 1500), (20, 500), (30, 100)):
        world.now_us = T0 + hour * HOUR_US
        world.event("acme-eu", {"n": number, "model": "small"})
    world.event("new", {"n": number, "model": "small"})
    world.now_us = T0 + 3 * DAY_US
    world.tick()
    await world.count_close_rate()
    meters = (await terms.rating_catalog(world.connection)).meters
    async with world.connection.transaction(isolation="repeatable_read", readonly=True):
        page = await silence.page(world.connection, silence.Query(meters, None, None), None, 10)
        found = await silence.at_risk(world.connection, page.rows)
    final = 3 * 24 - 1  # the last hour that has 15 minutes of grace behind it
    assert [
        (
            one.silence.charged.subscription,
            one.silence.kind.value,
            (one.silence.since_us - T0) // HOUR_US,
            one.silence.length_us // HOUR_US,
            one.silence.longest_before_us,
            one.before and (one.before.currency, one.before.amount, one.before.period_start_us),
            one.not_known,
        )
        for one in found
    ] == [
        # Its second day is cut short by the silence: the first one is compared.
        ("acme-pro", "silent", 31, final - 31, 17 * HOUR_US, ("EUR", Fraction(5), T0), None),
        ("never", "never_used", 0, final, None, None, "never_used"),
        ("new", "silent", 31, final - 31, 30 * HOUR_US, ("EUR", Fraction(0), T0), None),
    ]
