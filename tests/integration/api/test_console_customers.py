"""A customer's page, its charts and its rated totals: the numbers of `/v1`, to whom they belong."""

import pytest_asyncio
from integration.api.fixtures import Api
from integration.api.test_rated import START, rated_twice
from integration.api.visitor import text_of, visit
from integration.rating.test_versions import SUBSCRIPTION
from integration.rating.world import World

from aggregator.access import Scope

HOSTILE = "<script>alert(1)</script>\"'&/../x"
TOTAL = f"/rated-totals/acme-pro/{START}/2"


@pytest_asyncio.fixture
async def world(rated_world: World) -> World:
    await rated_twice(rated_world)
    return rated_world


async def test_a_customer_is_found_by_its_name_its_subscriptions_and_its_subjects(
    rated_api: Api, rated_world: World
) -> None:
    assert rated_world
    everybody = await visit(rated_api, await rated_api.token())
    for part, found in (
        ("", {"acme", "umbrella"}),
        ("ACME", {"acme"}),
        ("umbrella-pro", {"umbrella"}),
        ("acme-eu", {"acme"}),
        ("pro", {"acme", "umbrella"}),
        ("%", set()),
        ("nobody", set()),
    ):
        said = await everybody.page("/customers", q=part)
        assert {name for name in ("acme", "umbrella") if f" {name} " in said.partition(" found")[2]} == found


async def test_a_token_finds_and_sees_its_own_customers_alone(rated_api: Api, world: World) -> None:
    assert world
    own = await visit(rated_api, await rated_api.token("acme"))
    other = await visit(rated_api, await rated_api.token("umbrella"))
    assert "umbrella" not in await own.page("/customers")
    assert "acme" not in await other.page("/customers")
    assert "acme-pro" in await own.page("/customers/acme")
    for path in ("/customers/acme", TOTAL, f"{TOTAL}/explain"):
        assert (await own.get(path)).status_code == 200
        foreign = await other.get(path)
        nothing = await other.get(path.replace("acme", "nobody"))
        assert (foreign.status_code, nothing.status_code) == (404, 404)
        shape = text_of(foreign.text).replace("acme", "nobody")
        assert shape == text_of(nothing.text)
    assert (await other.get("/customers/umbrella", subject="acme-eu")).status_code == 200
    assert "1500" not in await other.page("/customers/umbrella", subject="acme-eu")


async def test_each_page_needs_its_scope(rated_api: Api, world: World) -> None:
    assert world
    none = await visit(rated_api, await rated_api.token("acme", scopes=frozenset({Scope.FEED_READ})))
    for path in ("/customers", "/customers/acme", TOTAL, f"{TOTAL}/explain"):
        response = await none.get(path)
        assert response.status_code == 403
        assert "This needs the scope rated:read." in text_of(response.text)
    bills = await visit(rated_api, await rated_api.token("acme", scopes=frozenset({Scope.RATED_READ})))
    said = await bills.page("/customers/acme")
    assert "it needs the scope usage:read" in said
    assert "1500" not in said


async def test_usage_is_drawn_and_told_window_by_window(rated_api: Api, world: World) -> None:
    assert world
    visitor = await visit(rated_api, await rated_api.token("acme"))
    response = await visitor.get("/customers/acme")
    said = text_of(response.text)
    assert response.text.count("<rect ") == 1
    assert 'class="final"' in response.text
    assert "2026-03-02T01:00:00Z 2500 2 1 final" in said  # 1500 in time, 1000 late
    assert "The highest is 2500" in said or "the highest is 2500" in said
    earlier = await visitor.page("/customers/acme", until="2026-03-02T00:00:00Z")
    assert "No usage in these windows." in earlier


async def test_a_rated_total_is_told_tier_by_tier_with_what_it_changed(rated_api: Api, world: World) -> None:
    assert world
    visitor = await visit(rated_api, await rated_api.token("acme"))
    said = await visitor.page(TOTAL)
    assert "6 EUR" in said
    assert "1000 from 0 up to 1000, at 3 for 1000 3" in said
    assert "1500 beyond 1000, at 2 for 1000 3" in said
    assert "Changed by 2 EUR since version 1" in said
    assert "Changed by" not in await visitor.page(TOTAL[:-1] + "1")
    assert "2 6" not in said


async def test_what_lies_behind_it_names_offsets_and_the_proof(rated_api: Api, world: World) -> None:
    own = await visit(rated_api, await rated_api.token("acme"))
    said = await own.page(f"{TOTAL}/explain")
    partition, first = next(
        (partition, offset)
        for partition, log in world.logs.items()
        for offset, record in enumerate(log)
        if record.key == b"acme-eu"
    )
    assert f"metering explain acme-pro/{START}/2" in said
    assert f"window 1 1 {partition} {first} to {first}" in said
    assert "late 1 1" in said
    assert "Batches" not in said
    everything = await visit(rated_api, await rated_api.token())
    assert "Batches" in await everything.page(f"{TOTAL}/explain")
    before = await own.page(f"{TOTAL[:-1]}1/explain")
    assert "late" not in before


async def test_a_hostile_name_is_only_a_name(rated_api: Api, rated_world: World) -> None:
    await rated_world.add_subscription(
        {**SUBSCRIPTION, "name": "hostile", "customer": HOSTILE, "subjects": [HOSTILE]}
    )
    rated_world.event(HOSTILE, {"n": 7, "model": HOSTILE})
    rated_world.tick()
    await rated_world.count_close_rate()
    visitor = await visit(rated_api, await rated_api.token())
    for response in (
        await visitor.get("/customers", q=HOSTILE),
        await visitor.get("/customers/%3Cscript%3Ealert(1)%3C%2Fscript%3E%22'%26%2F..%2Fx", subject=HOSTILE),
    ):
        assert response.status_code == 200, response.text
        assert "<script>" not in response.text
        assert HOSTILE in text_of(response.text)
    assert "7" in text_of(response.text)
