"""Who may ask: tokens, scopes and rates, and what is said to those who may not."""

from typing import Any

import pytest
from integration.api.fixtures import Api, problem

from aggregator.access import Scope
from aggregator.store import tokens


async def test_without_a_token_nothing_is_told(api: Api) -> None:
    for headers in (
        {},
        {"Authorization": ""},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": "Bearer"},
    ):
        response = await api.get("/v1/meters", headers=headers)
        problem(response, 401, "token_missing")
        assert response.headers["www-authenticate"] == 'Bearer realm="metering"'


async def test_a_token_that_is_none_is_refused_whatever_is_wrong_with_it(api: Api) -> None:
    good = await api.token()
    for text in ("x", good + "0", good[:-1], good[:-1] + ("0" if good[-1] != "0" else "1")):
        response = await api.get("/v1/meters", text)
        problem(response, 401, "token_invalid")
        assert 'error="invalid_token"' in response.headers["www-authenticate"]
    assert (await api.get("/v1/meters", good)).status_code == 200


async def test_revoked_rotated_and_past_tokens_end_at_once(api: Api) -> None:
    async def made(lifetime_us: int | None = None) -> tokens.Issued:
        return await tokens.create(
            api.owner, "x", [Scope.USAGE_READ], None, lifetime_us=lifetime_us, who="tests"
        )

    past, revoked, old = await made(0), await made(), await made()
    problem(await api.get("/v1/meters", past.text), 401, "token_invalid")
    for issued in (revoked, old):
        assert (await api.get("/v1/meters", issued.text)).status_code == 200
    await tokens.revoke(api.owner, revoked.token.token_id, reason="leaked", who="tests")
    problem(await api.get("/v1/meters", revoked.text), 401, "token_invalid")

    new = await tokens.rotate(
        api.owner, old.token.token_id, overlap_us=3_600_000_000, lifetime_us=None, who="tests"
    )
    for text in (old.text, new.text):
        assert (await api.get("/v1/meters", text)).status_code == 200
    newest = await tokens.rotate(api.owner, new.token.token_id, overlap_us=0, lifetime_us=None, who="tests")
    problem(await api.get("/v1/meters", new.text), 401, "token_invalid")
    assert (await api.get("/v1/meters", newest.text)).status_code == 200


async def test_a_scope_that_is_missing_is_named(api: Api) -> None:
    token = await api.token(scopes=frozenset(Scope) - {Scope.USAGE_READ})
    response = await api.get("/v1/meters", token)
    assert "usage:read" in problem(response, 403, "scope_missing")["detail"]
    assert 'scope="usage:read"' in response.headers["www-authenticate"]


class TestRate:
    @pytest.fixture
    def api_settings(self) -> dict[str, Any]:
        return {"api_requests_per_s": 0.001, "api_burst": 3}

    async def test_a_token_that_asks_too_often_is_told_when_to_come_back(self, api: Api) -> None:
        one, other = await api.token(), await api.token()
        for _ in range(3):
            assert (await api.get("/v1/meters", one)).status_code == 200
        response = await api.get("/v1/meters", one)
        problem(response, 429, "too_many_requests")
        assert 900 < int(response.headers["retry-after"]) <= 1000
        assert (await api.get("/v1/meters", other)).status_code == 200  # whoever else asks
