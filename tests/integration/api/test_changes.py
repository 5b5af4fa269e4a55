"""Plans and subscriptions written over HTTP: planned, refused and audited as by the command line."""

import asyncio
import json
from typing import Any

from integration.api.fixtures import Api, problem
from integration.store.terms import price_plan, subscription

from aggregator.access import Scope
from aggregator.store import audit, prices

PLAN: dict[str, Any] = {
    "currency": "USD",
    "rounding": {"places": 2},
    "charges": [
        {"name": "base", "flat": 20},
        {"name": "input", "meter": "usage_sum", "price": {"model": "per_unit", "unit_price": 0.1}},
    ],
}
SUBSCRIPTION: dict[str, Any] = {
    "customer": "acme",
    "subjects": ["acme"],
    "plan": "pro",
    "start": "2026-09-01T00:00:00Z",
    "billing_period": "month",
}


async def put(api: Api, path: str, token: str, body: Any, status: int, **asked: Any) -> dict[str, Any]:
    response = await api.ask("PUT", path, token, body=body, **asked)
    assert response.status_code == status, response.text
    document: dict[str, Any] = response.json()
    return document


async def test_a_plan_and_a_subscription_are_made_changed_and_read(api: Api) -> None:
    token = await api.token()
    dry = await put(api, "/v1/plans/pro", token, PLAN, 200, dry_run="true")
    assert (dry["dry_run"], dry["revision"], dry["change"]["kind"]) == (True, None, "new")
    assert await prices.plans(api.owner) == {}
    made = await put(api, "/v1/plans/pro", token, PLAN, 201)
    assert (made["revision"], made["change"]["version"], made["change"]["effective_from"]) == (1, 1, None)
    again = await put(api, "/v1/plans/pro", token, {**PLAN, "name": "pro"}, 200)
    assert (again["revision"], again["change"]["kind"], again["change"]["version"]) == (
        None,
        "unchanged",
        None,
    )

    await put(api, "/v1/subscriptions/acme-pro", token, SUBSCRIPTION, 201)
    changed = {**SUBSCRIPTION, "subjects": ["acme", "acme-eu"]}
    change = (await put(api, "/v1/subscriptions/acme-pro", token, changed, 200))["change"]
    assert (change["kind"], change["version"]) == ("changed", 2)
    assert change["differences"] == [{"field": "subjects", "before": ["acme"], "after": ["acme", "acme-eu"]}]
    shown = await api.read("/v1/subscriptions/acme-pro", token)
    assert (shown["version"], shown["versions"][-1]["definition"]["subjects"]) == (2, ["acme", "acme-eu"])
    stored = (await prices.plans(api.owner))["pro"][0].terms
    assert stored.definition() == (await api.read("/v1/plans/pro", token))["versions"][0]["definition"]

    writes = [one for one in await audit.entries(api.owner, limit=100) if one.who.startswith("token ")]
    assert [(one.action, one.target) for one in reversed(writes)] == [
        ("catalog.apply", "revision 1"),
        ("catalog.apply", "revision 2"),
        ("catalog.apply", "revision 3"),
    ]
    token_id = token.split("_")[1]
    assert {one.who for one in writes} == {f"token {token_id} (tests)"}


async def test_one_change_leaves_the_others_as_they_are(api: Api) -> None:
    token = await api.token()
    for name in ("pro", "basic"):
        await put(api, f"/v1/plans/{name}", token, PLAN, 201)
    await put(api, "/v1/plans/basic", token, {**PLAN, "minimum": 5}, 200)
    assert {
        name: [one.retired for one in versions] for name, versions in (await prices.plans(api.owner)).items()
    } == {
        "basic": [False, False],
        "pro": [False],
    }


async def test_numbers_keep_the_digits_that_were_sent(api: Api) -> None:
    token = await api.token()
    digits = "0.1234567890123456789012345678901234567"
    body = json.dumps(PLAN).replace("0.1", digits)
    response = await api.ask("PUT", "/v1/plans/pro", token, data=body.encode())
    assert response.status_code == 201
    definition = (await api.read("/v1/plans/pro", token))["versions"][0]["definition"]
    assert definition["charges"][1]["price"]["unit_price"] == digits


async def test_a_document_that_breaks_its_contract_is_refused_at_its_places(api: Api) -> None:
    token = await api.token()
    wrong = {**PLAN, "currency": "dollars", "colour": "red", "charges": []}
    refused = problem(await api.ask("PUT", "/v1/plans/pro", token, body=wrong), 422, "document_invalid")
    assert {one["pointer"] for one in refused["errors"]} == {"currency", "colour", "charges"}
    other = await api.ask("PUT", "/v1/plans/pro", token, body={**PLAN, "name": "basic"})
    (error,) = problem(other, 422, "document_invalid")["errors"]
    assert (error["pointer"], error["code"]) == ("name", "name_differs")
    for body in (
        b"",
        b"[]",
        b"{",
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b'{"a": "\\u0000"}',
        b'{"a": "\\ud800"}',
        b'{"a": 1e999}',
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 300 + b"1" + b"}" * 300,
    ):
        problem(await api.ask("PUT", "/v1/plans/pro", token, data=body), 422, "body_not_json")
    large = await api.ask("PUT", "/v1/plans/pro", token, data=b'{"a": "' + b"x" * 1_000_000 + b'"}')
    problem(large, 413, "body_too_large")
    assert await prices.plans(api.owner) == {}


async def test_a_change_that_cannot_take_effect_is_refused_with_its_code(api: Api) -> None:
    token = await api.token()
    refused = await api.ask("PUT", "/v1/subscriptions/acme-pro", token, body=SUBSCRIPTION)
    (error,) = problem(refused, 422, "change_refused")["errors"]
    assert (error["code"], error["pointer"]) == ("unknown_plan", "subscriptions.acme-pro")
    dry = await api.ask("PUT", "/v1/subscriptions/acme-pro", token, body=SUBSCRIPTION, dry_run="true")
    problem(dry, 422, "change_refused")
    charges = [{"name": "x", "meter": "nothing", "price": {"model": "per_unit", "unit_price": 1}}]
    unknown = await api.ask("PUT", "/v1/plans/pro", token, body={**PLAN, "charges": charges})
    (error,) = problem(unknown, 422, "change_refused")["errors"]
    assert error["code"] == "unknown_meter"
    assert await audit.entries(api.owner, action="catalog.apply", target="revision 1", limit=1) == []


async def test_nobody_overwrites_what_they_have_not_seen(api: Api) -> None:
    token = await api.token()
    absent = await api.ask("PUT", "/v1/plans/pro", token, body=PLAN, headers={"If-Match": "*"})
    problem(absent, 412, "precondition_failed")
    once = {"If-None-Match": "*"}
    answers = await asyncio.gather(
        *(api.ask("PUT", "/v1/plans/pro", token, body=PLAN, headers=once) for _ in range(4))
    )
    assert sorted(one.status_code for one in answers) == [201, 412, 412, 412]

    tag = (await api.get("/v1/plans/pro", token)).headers["etag"]
    answers = await asyncio.gather(
        *(
            api.ask("PUT", "/v1/plans/pro", token, body={**PLAN, "minimum": n}, headers={"If-Match": tag})
            for n in range(1, 5)
        )
    )
    assert sorted(one.status_code for one in answers) == [200, 412, 412, 412]
    assert len((await api.read("/v1/plans/pro", token))["versions"]) == 2


async def test_each_write_needs_its_scope(api: Api) -> None:
    for path, scope, other, body in (
        ("/v1/plans/pro", Scope.PLANS_WRITE, Scope.SUBSCRIPTIONS_WRITE, PLAN),
        ("/v1/subscriptions/acme-pro", Scope.SUBSCRIPTIONS_WRITE, Scope.PLANS_WRITE, SUBSCRIPTION),
    ):
        refused = await api.ask("PUT", path, await api.token(scopes=frozenset({other})), body=body)
        problem(refused, 403, "scope_missing")
        done = await api.ask("PUT", path, await api.token(scopes=frozenset({scope})), body=body)
        assert done.status_code == 201, done.text


async def test_what_the_catalog_holds_can_be_put_back(api: Api) -> None:
    """A definition, as it is read, is a body that changes nothing."""
    token = await api.token()
    for path, one in (("plans/pro", price_plan()), ("subscriptions/acme-pro", subscription())):
        await put(api, f"/v1/{path}", token, one.definition(), 201)
        definition = (await api.read(f"/v1/{path}", token))["versions"][-1]["definition"]
        assert (await put(api, f"/v1/{path}", token, definition, 200))["change"]["kind"] == "unchanged"
