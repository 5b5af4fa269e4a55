"""Refused records over HTTP: what a dry run says is what happens, once, however often it is asked for."""

import asyncio
from collections import Counter
from typing import Any

import pytest
import pytest_asyncio
from integration.api.fixtures import Api, problem
from integration.api.refused import decided, on_their_way, refuse, refuse_one_more
from integration.rating.world import World

from aggregator.access import Scope
from metering.quarantine import decision, redrive

WHY = {"reason": "the clock is mended"}


@pytest_asyncio.fixture
async def world(rated_world: World) -> World:
    await refuse(rated_world)
    return rated_world


async def decide(api: Api, token: str, action: str = "redrive", **asked: Any) -> dict[str, Any]:
    parameters = {name: asked.pop(name) for name in ("dry_run", "cursor") if name in asked}
    response = await api.ask("POST", f"/v1/quarantine/{action}", token, body={**WHY, **asked}, **parameters)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


async def test_what_was_refused_is_told_by_group(rated_api: Api, world: World) -> None:
    assert world
    token = await rated_api.token()
    groups = (await rated_api.read("/v1/quarantine", token))["data"]
    waiting: Counter[tuple[str, str | None]] = Counter()
    for one in groups:
        waiting[one["code"], one["meter"]] += one["waiting"]
    assert waiting == {("in_future", None): 2, ("value_missing", "tokens"): 1}
    (one,) = (await rated_api.read("/v1/quarantine", token, code="value_missing"))["data"]
    assert (one["records"], one["states"]["open"], one["source"][:7]) == (1, 1, "/tests/")
    assert (await rated_api.read("/v1/quarantine", token, subject="nobody"))["data"] == []
    problem(await rated_api.get("/v1/quarantine", token, code="nothing"), 400, "invalid_request")


async def test_a_dry_run_says_how_much_comes_back_what_it_is_worth_and_what_does_not(
    rated_api: Api, world: World
) -> None:
    told = await decide(rated_api, await rated_api.token(), all=True, dry_run=True)
    assert (told["dry_run"], told["action"], told["records"], told["next_cursor"]) == (
        True,
        "redrive",
        2,
        None,
    )
    assert told["at_risk"] == [{"currency": "EUR", "least": "4.03", "most": "4.03"}]
    assert told["not_estimated"] == 0
    (left,) = told["refused"]
    assert (left["code"], left["records"]) == ("too_old_to_repair", 1)
    assert "discard it" in left["detail"]
    assert await decided(world) == []
    assert await on_their_way(world) == 0


async def test_what_is_sent_twice_is_done_once_by_the_tokens_name(rated_api: Api, world: World) -> None:
    token = await rated_api.token()
    both = await asyncio.gather(*(decide(rated_api, token, code="in_future") for _ in range(2)))
    assert sorted(one["records"] for one in both) == [0, 2]
    assert (await decide(rated_api, token, code="in_future"))["records"] == 0
    assert await on_their_way(world) == 2
    who = f"token {token.split('_')[1]} (tests)"
    assert await decided(world) == [(who, "quarantine.redrive", WHY["reason"])] * 2
    groups = (await rated_api.read("/v1/quarantine", token, code="in_future"))["data"]
    assert sum(one["states"]["redriven"] for one in groups) == 2


async def test_nothing_is_decided_that_a_dry_run_had_not_seen(rated_api: Api, world: World) -> None:
    token = await rated_api.token()
    seen = await decide(rated_api, token, code="in_future", dry_run=True)
    await refuse_one_more(world)
    told = await decide(rated_api, token, code="in_future", refused_by=seen["refused_by"])
    assert told["records"] == seen["records"] == 2
    assert (await decide(rated_api, token, code="in_future"))["records"] == 1


async def test_what_is_discarded_is_never_brought_back(rated_api: Api, world: World) -> None:
    token = await rated_api.token()
    told = await decide(rated_api, token, "discard", subject="acme-eu")
    assert (told["action"], told["records"], told["refused"]) == ("discard", 2, [])
    assert (await decide(rated_api, token, all=True))["records"] == 1
    assert {action for _, action, _ in await decided(world)} == {"quarantine.discard", "quarantine.redrive"}
    assert await on_their_way(world) == 1


async def test_many_records_are_decided_in_several_requests(
    rated_api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrive, "PAGE", 1)
    monkeypatch.setattr(decision, "MOST", 2)
    token = await rated_api.token()
    seen = [await decide(rated_api, token, all=True)]
    while (cursor := seen[-1]["next_cursor"]) is not None:
        seen.append(await decide(rated_api, token, all=True, cursor=cursor))
    assert sum(one["records"] for one in seen) == 2
    assert sum(left["records"] for one in seen for left in one["refused"]) == 1
    assert len(seen) == 2
    body = {**WHY, "code": "in_future"}
    response = await rated_api.ask(
        "POST", "/v1/quarantine/redrive", token, body=body, cursor=seen[0]["next_cursor"]
    )
    problem(response, 400, "invalid_cursor")
    assert await on_their_way(world) == 2


async def test_a_decision_needs_its_scope_a_reason_and_a_choice(rated_api: Api, world: World) -> None:
    everything = frozenset(Scope)
    body = {**WHY, "all": True}
    for action in ("redrive", "discard"):
        path = f"/v1/quarantine/{action}"
        for token in (
            await rated_api.token(scopes=everything - {Scope.QUARANTINE_WRITE}),
            await rated_api.token("acme"),
        ):
            response = await rated_api.ask("POST", path, token, body=body)
            assert "quarantine:write" in problem(response, 403, "scope_missing")["detail"]
        token = await rated_api.token()
        for wrong in (
            {"all": True},
            {"all": True, "reason": ""},
            {"all": True, "reason": " \t"},
            {"all": True, "reason": "a\0b"},
            WHY,
            {**WHY, "all": True, "code": "in_future"},
            {**WHY, "offset": 1},
            {**WHY, "code": "nothing"},
            {**WHY, "partition": "1"},
            {**body, "who": "somebody else"},
        ):
            response = await rated_api.ask("POST", path, token, body=wrong)
            assert response.status_code == 422, wrong
        problem(await rated_api.ask("POST", path, token, data=b"{"), 422, "body_not_json")
    problem(await rated_api.get("/v1/quarantine", await rated_api.token("acme")), 403, "scope_missing")
    assert await decided(world) == []
