"""No token reads another customer's data: what is theirs does not exist for it."""

import re
from typing import Any

import pytest_asyncio
from integration.api.fixtures import Api, problem
from integration.store.batches import T0, Spoken
from integration.store.counting import Store
from integration.store.terms import insert, new, price_plan, subscription

from aggregator.store import feed
from aggregator.store.feed import News
from metering.api import openapi
from schemas.instant import HOUR_US, format_time

START = format_time(T0)


@pytest_asyncio.fixture
async def two_customers(api: Api, store: Store) -> None:
    """acme and umbrella, each with a plan of its own; `shared` was acme's for two hours, then umbrella's."""
    await insert(
        api.owner,
        new(price_plan("pro")),
        new(price_plan("secret")),
        new(subscription("acme-pro", subjects=["acme", "shared"], start=START)),
        new(
            subscription(
                "umbrella-pro", subjects=["umbrella-corp"], plan="secret", start=START, customer="umbrella"
            )
        ),
    )
    await insert(
        api.owner,
        new(subscription("acme-pro", subjects=["acme"], start=START), 2, T0 + 2 * HOUR_US),
        new(
            subscription(
                "umbrella-pro",
                subjects=["shared", "umbrella-corp"],
                plan="secret",
                start=START,
                customer="umbrella",
            ),
            2,
            T0 + 2 * HOUR_US,
        ),
    )
    for hour in range(4):
        await store.flush(
            store.logs[0].batch(
                Spoken(1, subject, time_us=T0 + hour * HOUR_US)
                for subject in ("acme", "umbrella-corp", "shared", "nobodys")
            )
        )
    async with api.owner.transaction():
        for customer in ("acme", "umbrella"):
            for kind in ("rated_total", "threshold"):
                one = News(kind, f"{customer}-1", customer, f"{customer}-pro", f'{{"id": "{customer}-1"}}')  # type: ignore[arg-type]
                await feed.append(api.owner, [one])


async def starts(api: Api, token: str, **asked: Any) -> dict[str, list[int]]:
    """The hours of each subject that a token sees."""
    rows = await api.every("/v1/usage", token, meter="usage_sum", by_window=True, limit=2, **asked)
    seen: dict[str, list[int]] = {}
    for row in rows:
        hour = next(hour for hour in range(4) if row["start"] == format_time(T0 + hour * HOUR_US))
        seen.setdefault(row["subject"], []).append(hour)
    return seen


async def test_usage_is_seen_by_whose_it_was_and_for_as_long(api: Api, two_customers: None) -> None:
    assert two_customers is None
    hours = [0, 1, 2, 3]
    for customers, seen in (
        (["acme"], {"acme": hours, "shared": [0, 1]}),
        (["umbrella"], {"umbrella-corp": hours, "shared": [2, 3]}),
        (["acme", "umbrella"], {"acme": hours, "shared": hours, "umbrella-corp": hours}),
        (["initech"], {}),
        ([], {"acme": hours, "nobodys": hours, "shared": hours, "umbrella-corp": hours}),
    ):
        token = await api.token(*customers)
        assert await starts(api, token) == seen
        for subject in ("acme", "shared", "umbrella-corp", "nobodys"):
            assert await starts(api, token, subject=subject) == (
                {subject: seen[subject]} if subject in seen else {}
            )
        sums = await api.every("/v1/usage", token, meter="usage_sum")
        assert {one["subject"]: one["value"] for one in sums} == {
            subject: str(len(seen_hours)) for subject, seen_hours in seen.items()
        }


async def test_a_window_that_others_share_is_seen_by_neither(api: Api, store: Store) -> None:
    """A subject moves in the middle of a window of a meter that is not charged: else that is refused."""
    await insert(api.owner, new(price_plan()), new(subscription(start=START)))
    away = format_time(T0 + HOUR_US + 60_000_000)
    await insert(api.owner, new(subscription(start=START, end=away), 2, T0))
    await store.flush(
        store.logs[0].batch(Spoken(1, "acme", time_us=T0 + hour * HOUR_US) for hour in range(3))
    )
    assert await starts(api, await api.token("acme")) == {"acme": [0]}


async def test_a_cursor_gives_no_rights(api: Api, two_customers: None) -> None:
    assert two_customers is None
    asked = {"meter": "usage_sum", "by_window": True, "limit": 1}
    page = await api.read("/v1/usage", await api.token(), **asked)
    stolen = await api.get("/v1/usage", await api.token("umbrella"), **asked, cursor=page["next_cursor"])
    problem(stolen, 400, "invalid_cursor")


async def test_no_route_tells_a_foreign_token_anything(api: Api, two_customers: None) -> None:
    """Every operation of the OpenAPI document, with names that there are and with one that there is not."""
    assert two_customers is None
    walked = 0
    for token in (await api.token("initech"), await api.token("acme")):
        for path, operations in openapi.document()["paths"].items():
            for method, operation in operations.items():
                answers = set()
                for name in ("umbrella-pro", "secret", "umbrella", "nothing-at-all"):
                    body = {} if method == "put" else None
                    response = await api.ask(
                        method, filled(path, name), token, body=body, **parameters(operation)
                    )
                    assert response.status_code < 500, (method, path, response.text)
                    shape = re.sub(r'"trace_id":"[0-9a-f]{32}"', "", response.text).replace(name, "…")
                    assert "umbrella" not in shape, (method, path, shape)
                    assert "secret" not in shape, (method, path, shape)
                    answers.add((response.status_code, shape))
                    walked += 1
                assert len(answers) == 1, (method, path, answers)
    assert walked >= 2 * 4 * 8
    everybody = await api.token()
    for path in ("/v1/subscriptions/umbrella-pro", "/v1/plans/secret"):
        assert (await api.get(path, everybody)).status_code == 200  # so there was something to be told
    assert (await api.get("/v1/plans/pro", await api.token("acme"))).status_code == 200


def filled(path: str, name: str) -> str:
    return path.replace("{name}", name).replace("{start}", START).replace("{version}", "1")


def parameters(operation: dict[str, Any]) -> dict[str, Any]:
    """The required ones."""
    given = {"meter": "usage_sum"}
    queried = [one for one in operation.get("parameters", []) if one["in"] == "query"]
    return {one["name"]: given[one["name"]] for one in queried if one["required"]}


async def test_subscriptions_and_plans_are_listed_for_whose_they_are(api: Api, two_customers: None) -> None:
    assert two_customers is None
    for customers, names, plans in (
        (["acme"], ["acme-pro"], ["pro"]),
        (["umbrella"], ["umbrella-pro"], ["secret"]),
        (["initech"], [], []),
        ([], ["acme-pro", "umbrella-pro"], ["pro", "secret"]),
    ):
        token = await api.token(*customers)
        listed = await api.every("/v1/subscriptions", token, limit=1)
        assert [one["subscription"] for one in listed] == names
        assert [one["plan"] for one in (await api.read("/v1/plans", token))["data"]] == plans
    token = await api.token("acme")
    whole = await api.read("/v1/subscriptions/acme-pro", token)
    assert [(one["version"], one["definition"]["subjects"]) for one in whole["versions"]] == [
        (1, ["acme", "shared"]),
        (2, ["acme"]),
    ]
    assert [one["effective_from"] for one in whole["versions"]] == [None, format_time(T0 + 2 * HOUR_US)]
    (version,) = (await api.read("/v1/plans/pro", token))["versions"]
    assert version["definition"]["currency"] == "USD"
