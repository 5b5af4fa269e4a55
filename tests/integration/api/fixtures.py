"""The shapes of this folder's fixtures."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from aggregator.access import FOR_EVERYBODY, Scope
from aggregator.store import tokens
from aggregator.store.connection import Connection
from metering.telemetry import Telemetry

EVERY_SCOPE = frozenset(Scope)


@dataclass(frozen=True)
class Api:
    """A running API, and the owner's connection to what it serves."""

    url: str
    owner: Connection

    async def ask(
        self,
        method: str,
        path: str,
        token: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        data: bytes | None = None,
        **parameters: Any,
    ) -> requests.Response:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return await asyncio.to_thread(
            requests.request,
            method,
            f"{self.url}{path}",
            headers=sent,
            params={name.rstrip("_"): value for name, value in parameters.items()},
            json=body,
            data=data,
            timeout=30,
            allow_redirects=False,
        )

    async def get(
        self,
        path: str,
        token: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> requests.Response:
        return await self.ask("GET", path, token, headers=headers, **parameters)

    async def read(self, path: str, token: str, **parameters: Any) -> Any:
        """What a GET gives, which must succeed."""
        response = await self.get(path, token, **parameters)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        return response.json()

    async def every(self, path: str, token: str, **parameters: Any) -> list[Any]:
        """The items of all pages."""
        page = await self.read(path, token, **parameters)
        items = list(page["data"])
        while page["next_cursor"] is not None:
            page = await self.read(path, token, **parameters, cursor=page["next_cursor"])
            items += page["data"]
        return items

    async def token(self, *customers: str, scopes: frozenset[Scope] = EVERY_SCOPE) -> str:
        """A token for these customers; for everybody's data if there are none. It may do all that it can."""
        if customers:
            scopes -= FOR_EVERYBODY
        issued = await tokens.create(
            self.owner, "tests", scopes, customers or None, lifetime_us=None, who="tests"
        )
        return issued.text


def problem(response: requests.Response, status: int, code: str) -> dict[str, Any]:
    """The problem that a response is; it must be this one, and whole."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json"), (
        response.text
    )
    document: dict[str, Any] = response.json()
    assert (document["status"], document["code"]) == (status, code)
    assert document["type"] == f"/runbook#{code.replace('_', '-')}"
    assert document["title"]
    assert document["detail"]
    assert response.headers["cache-control"] == "no-store"
    return document


@dataclass(frozen=True)
class Observed:
    """Telemetry that a test can look into."""

    telemetry: Telemetry
    spans: Any
    reader: Any
