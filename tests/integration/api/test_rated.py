"""Totals: provisional until they are final, then in versions that never change, each with what it changed."""

import hashlib
import json

import pytest
from integration.api.fixtures import Api, problem
from integration.rating.test_versions import T0
from integration.rating.world import DAY_US, World
from oracle.rated import HOUR_US, MINUTE_US

from schemas.rated import ProvisionalTotal, RatedTotal

START = "2026-03-02T00:00:00Z"
PERIODS = "/v1/subscriptions/acme-pro/periods"
FIRST_CUT_US = T0 + DAY_US + 15 * MINUTE_US


async def rated_twice(world: World) -> None:
    """acme-pro's first day: 1500 tokens for 4 EUR; then 1000 late ones, for 2 EUR more."""
    world.advance(60)
    world.event("acme-eu", {"n": 1500, "model": "large"})
    world.now_us = FIRST_CUT_US
    world.tick()
    await world.count_close_rate()
    world.event("acme-eu", {"n": 1000, "model": "large"}, at_us=T0 + HOUR_US)
    world.now_us = FIRST_CUT_US + HOUR_US
    world.tick()
    await world.count_close_rate()


async def test_a_provisional_total_is_marked_and_says_what_it_rests_on(
    rated_api: Api, rated_world: World
) -> None:
    token = await rated_api.token("acme")
    path = "/v1/subscriptions/acme-pro/provisional"
    empty = await rated_api.read(path, token)
    assert (empty["provisional"], empty["amount"], empty["log_time"]) == (True, "0", None)
    rated_world.advance(60)
    rated_world.event("acme-eu", {"n": 1500, "model": "large"})
    rated_world.tick()
    await rated_world.count_all()
    total = ProvisionalTotal.model_validate(await rated_api.read(path, token))
    assert (total.amount, total.log_time) == ("4", "2026-03-02T01:00:00Z")
    assert total.period.start == START
    tomorrow = await rated_api.read(path, token, at="2026-03-03T12:00:00Z")
    assert (tomorrow["amount"], tomorrow["period"]["start"]) == ("0", "2026-03-03T00:00:00Z")
    problem(await rated_api.get(path, token, at="2026-03-01T12:00:00Z"), 404, "not_found")
    problem(await rated_api.get(path, token, at="2026-03-01T12:00:00"), 400, "invalid_request")

    first = await rated_api.get(path, token)
    same = await rated_api.get(path, token, headers={"If-None-Match": first.headers["etag"]})
    assert same.status_code == 304
    assert first.headers["etag"] == f'"{hashlib.sha256(first.content).hexdigest()}"'


async def test_final_totals_are_read_in_versions_with_their_differences(
    rated_api: Api, rated_world: World
) -> None:
    await rated_twice(rated_world)
    token = await rated_api.token("acme")
    rated = await rated_api.get("/v1/subscriptions/acme-pro/provisional", token, at=START)
    problem(rated, 409, "period_is_rated")

    (period,) = await rated_api.every(PERIODS, token)
    assert (period["period_start"], period["version"], period["amount"], period["difference"]) == (
        START,
        2,
        "6",
        "2",
    )
    versions = (await rated_api.read(f"{PERIODS}/{START}/versions", token))["data"]
    assert [(one["version"], one["amount"], one["difference"]) for one in versions] == [
        (1, "4", None),
        (2, "6", "2"),
    ]
    for one in versions:
        response = await rated_api.get(f"{PERIODS}/{START}/versions/{one['version']}", token)
        assert hashlib.sha256(response.content).hexdigest() == one["digest"]
        assert response.headers["etag"] == f'"{one["digest"]}"'
        document = RatedTotal.model_validate_json(response.content)
        assert (document.version, document.amount) == (one["version"], one["amount"])
        same = await rated_api.get(
            f"{PERIODS}/{START}/versions/{one['version']}",
            token,
            headers={"If-None-Match": response.headers["etag"]},
        )
        assert (same.status_code, same.content) == (304, b"")
    changed = await rated_api.read(f"{PERIODS}/{START}/versions/2/difference", token)
    assert (changed["difference"]["amount"], changed["currency"]) == ("2", "EUR")
    assert [(one["quantity"], one["amount"]) for one in changed["difference"]["lines"]] == [("1000", "2")]
    assert (await rated_api.read(f"{PERIODS}/{START}/versions/1/difference", token))["difference"] is None

    news = await rated_api.read("/v1/rated-totals", token)
    assert [one["id"] for one in news["data"]] == [f"acme-pro/{START}/1", f"acme-pro/{START}/2"]
    assert [one["digest"] for one in news["data"]] == [one["digest"] for one in versions]


async def test_periods_have_pages(rated_api: Api, rated_world: World) -> None:
    for day in range(1, 6):
        rated_world.now_us = T0 + day * DAY_US + 15 * MINUTE_US
        rated_world.tick()
        await rated_world.count_close_rate()
    token = await rated_api.token("acme")
    whole = await rated_api.every(PERIODS, token)
    assert [one["period_start"] for one in whole] == [f"2026-03-0{2 + day}T00:00:00Z" for day in range(5)]
    assert await rated_api.every(PERIODS, token, limit=2) == whole
    cursor = (await rated_api.read(PERIODS, token, limit=2))["next_cursor"]
    others = "/v1/subscriptions/umbrella-pro/periods"
    problem(await rated_api.get(others, await rated_api.token(), cursor=cursor), 400, "invalid_cursor")


@pytest.mark.parametrize(
    "path",
    [
        "/provisional",
        "/periods",
        f"/periods/{START}/versions",
        f"/periods/{START}/versions/1",
        f"/periods/{START}/versions/1/difference",
    ],
)
async def test_what_is_anothers_is_as_what_is_not(rated_api: Api, rated_world: World, path: str) -> None:
    await rated_twice(rated_world)
    owner, stranger = await rated_api.token("acme"), await rated_api.token("umbrella")
    answers = set()
    for name in ("acme-pro", "absent-pro"):
        response = await rated_api.get(f"/v1/subscriptions/{name}{path}", stranger)
        document = problem(response, 404, "not_found")
        document.pop("trace_id")
        answers.add(json.dumps(document).replace(name, "…"))
    assert len(answers) == 1
    response = await rated_api.get(f"/v1/subscriptions/acme-pro{path}", owner)
    assert response.status_code == 200


async def test_versions_that_are_not_there(rated_api: Api, rated_world: World) -> None:
    await rated_twice(rated_world)
    token = await rated_api.token()
    for path in (
        f"/{START}/versions/3",
        "/2026-03-05T00:00:00Z/versions",
        "/2026-03-02T00:00:01Z/versions/1",
    ):
        problem(await rated_api.get(PERIODS + path, token), 404, "not_found")
    for path in (f"/{START}/versions/0", "/yesterday/versions", f"/{START}/versions/99999999999"):
        problem(await rated_api.get(PERIODS + path, token), 400, "invalid_request")
