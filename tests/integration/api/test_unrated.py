"""What nobody pays for, over HTTP: all of it in pages, and to each token what is its own."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio
from integration.api.fixtures import Api, problem
from integration.rating.test_versions import PLAN, SUBSCRIPTION, T0
from integration.rating.world import DAY_US, World
from oracle.rated import HOUR_US

from aggregator.access import Scope
from aggregator.store import silence, unrated
from schemas.instant import format_time

METERS: Final = """
meters:
  - {name: tokens, event_type: call, aggregation: sum, value: n, group_by: [model], window: 1h, grace: 15m}
  - {name: calls, event_type: call, aggregation: count, window: 1h, grace: 15m}
"""
SECRET: Final = {
    **PLAN,
    "name": "secret",
    "charges": [
        {
            "name": "large",
            "meter": "tokens",
            "group_by": ["model"],
            "prices": [{"when": {"model": "large"}, "price": {"model": "per_unit", "unit_price": 9}}],
        }
    ],
}


@pytest_asyncio.fixture
async def rated_world(shared_database: str, schema: str) -> AsyncIterator[World]:
    """acme and umbrella, who has a plan of its own; `shared` is acme's until 4:00, then umbrella's."""
    world = await World.made(shared_database, schema, METERS, T0)
    moved = format_time(T0 + 4 * HOUR_US)
    for plan in (PLAN, SECRET):
        await world.add_plan(plan)
    for name, subject, plan_name, changes in (
        ("acme-pro", "acme-eu", "pro", {}),
        ("acme-more", "shared", "pro", {"end": moved}),
        ("umbrella-more", "shared", "secret", {"start": moved}),
        ("umbrella-pro", "umbrella", "pro", {}),
        ("umbrella-secret", "umbrella-corp", "secret", {}),
    ):
        await world.add_subscription(
            {
                **SUBSCRIPTION,
                "name": name,
                "customer": name.partition("-")[0],
                "subjects": [subject],
                "plan": plan_name,
                **changes,
            }
        )
    for hour in (2, 5):
        world.now_us = T0 + hour * HOUR_US
        for subject in ("acme-eu", "shared", "umbrella-corp", "nobodys"):
            world.event(subject, {"n": 100, "model": "small"})
    world.now_us = T0 + DAY_US
    world.tick()
    await world.count_close_rate()
    yield world
    await world.close_connections()


def key(row: dict[str, Any]) -> tuple[str, str, str, int, int]:
    hours = [
        hour for hour in range(25) for end in ("start", "end") if row[end] == format_time(T0 + hour * HOUR_US)
    ]
    return row["meter"], row["subject"], row["reason"], min(hours), max(hours)


async def test_each_token_is_told_of_its_own(rated_api: Api) -> None:
    every = await rated_api.every("/v1/unrated", await rated_api.token(), limit=3)
    assert list(map(key, every)) == [
        ("calls", "acme-eu", "no_charge", 2, 6),
        ("calls", "nobodys", "no_subscription", 2, 6),
        ("calls", "shared", "no_charge", 2, 6),
        ("calls", "umbrella-corp", "no_charge", 2, 6),
        ("tokens", "nobodys", "no_subscription", 2, 6),
        ("tokens", "shared", "no_price", 5, 6),
        ("tokens", "umbrella-corp", "no_price", 2, 6),
    ]
    assert every[0]["at_risk"] == []
    assert every[0]["not_estimated"] == "no_plan"
    assert every[4] == {
        "meter": "tokens",
        "subject": "nobodys",
        "reason": "no_subscription",
        "group": {},
        "other": False,
        "start": format_time(T0 + 2 * HOUR_US),
        "end": format_time(T0 + 6 * HOUR_US),
        "quantity": "200",
        "events": 2,
        # 200 at 3 per 1000; `secret` has no price for them
        "at_risk": [
            {"currency": "EUR", "least": "0.6", "least_plan": "pro", "most": "0.6", "most_plan": "pro"}
        ],
        "not_estimated": None,
    }
    theirs = {
        "acme": [("calls", "acme-eu", "no_charge", 2, 6), ("calls", "shared", "no_charge", 2, 3)],
        "umbrella": [
            ("calls", "shared", "no_charge", 5, 6),
            ("calls", "umbrella-corp", "no_charge", 2, 6),
            ("tokens", "shared", "no_price", 5, 6),
            ("tokens", "umbrella-corp", "no_price", 2, 6),
        ],
        "initech": [],
    }
    for customer, rows in theirs.items():
        token = await rated_api.token(customer)
        for limit in (1, 100):
            assert list(map(key, await rated_api.every("/v1/unrated", token, limit=limit))) == rows
        for subject in ("shared", "nobodys"):
            found = await rated_api.every("/v1/unrated", token, subject=subject)
            assert list(map(key, found)) == [row for row in rows if row[1] == subject]


async def test_an_estimate_names_no_plan_of_another(rated_api: Api, rated_world: World) -> None:
    await rated_world.add_plan(
        {**PLAN, "name": "hidden", "charges": [{**PLAN["charges"][0], "meter": "calls"}]}
    )
    for customer, plans in ((), ["hidden"]), (("acme",), []):
        row, *_ = await rated_api.every("/v1/unrated", await rated_api.token(*customer), meter="calls")
        assert [one["least_plan"] for one in row["at_risk"]] == plans


async def test_only_what_is_asked_for_is_told(rated_api: Api) -> None:
    token = await rated_api.token()
    rows = await rated_api.every(
        "/v1/unrated", token, meter="calls", to=format_time(T0 + 3 * HOUR_US), subject="shared"
    )
    assert list(map(key, rows)) == [("calls", "shared", "no_charge", 2, 3)]
    rows = await rated_api.every("/v1/unrated", token, from_=format_time(T0 + 6 * HOUR_US))
    assert rows == []
    problem(await rated_api.get("/v1/unrated", token, meter="nothing"), 404, "not_found")
    problem(await rated_api.get("/v1/silent-subscriptions", token, meter="nothing"), 404, "not_found")
    page = await rated_api.read("/v1/unrated", token, limit=1)
    stolen = await rated_api.get("/v1/unrated", token, meter="calls", limit=1, cursor=page["next_cursor"])
    problem(stolen, 400, "invalid_cursor")
    narrow = await rated_api.token(scopes=frozenset({Scope.USAGE_READ}))
    for path in ("/v1/unrated", "/v1/silent-subscriptions"):
        problem(await rated_api.get(path, narrow), 403, "scope_missing")


async def test_silent_subscriptions_are_told_to_whose_they_are(rated_api: Api) -> None:
    rows = await rated_api.every("/v1/silent-subscriptions", await rated_api.token(), limit=1)
    until = format_time(T0 + 23 * HOUR_US)
    silent = {
        "subscription": "acme-pro",
        "customer": "acme",
        "meter": "tokens",
        "subjects": ["acme-eu"],
        "kind": "silent",
        "since": format_time(T0 + 6 * HOUR_US),
        "until": until,
        "longest_before_s": 2 * 3600,
        "at_risk": None,
        "not_estimated": "no_final_period",
    }
    more = {**silent, "customer": "umbrella", "subscription": "umbrella-more", "subjects": ["shared"]}
    never = {
        **more,
        "subscription": "umbrella-pro",
        "subjects": ["umbrella"],
        "kind": "never_used",
        "since": format_time(T0),
        "longest_before_s": None,
        "not_estimated": "never_used",
    }
    secret = {
        **silent,
        "customer": "umbrella",
        "subscription": "umbrella-secret",
        "subjects": ["umbrella-corp"],
    }
    assert rows == [silent, {**more, "longest_before_s": 3600}, never, secret]
    token = await rated_api.token("acme")
    assert await rated_api.every("/v1/silent-subscriptions", token) == [silent]
    assert await rated_api.every("/v1/silent-subscriptions", token, subject="shared") == []


async def test_pages_end_early_and_go_on(rated_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few subjects and subscriptions at once: pages without rows among them."""
    token = await rated_api.token()
    whole = [await rated_api.every(path, token) for path in ("/v1/unrated", "/v1/silent-subscriptions")]
    monkeypatch.setattr(unrated, "SUBJECTS_AT_ONCE", 2)
    monkeypatch.setattr(silence, "SUBSCRIPTIONS_AT_ONCE", 1)
    for path, rows in zip(("/v1/unrated", "/v1/silent-subscriptions"), whole, strict=True):
        assert await rated_api.every(path, token, limit=2) == rows
