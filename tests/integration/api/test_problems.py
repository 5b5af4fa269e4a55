"""Whatever is wrong, the answer is a problem document with a stable code."""

import asyncio
import re

import pytest
from integration.api.fixtures import Api, Observed, problem
from opentelemetry.trace import StatusCode, format_trace_id
from support.telemetry import measured

from aggregator.store import load
from aggregator.store.connection import Connection
from metering.api import probes, server
from metering.dev.conditions import until
from schemas.problems import KINDS


async def test_what_is_not_there_is_a_problem_too(api: Api) -> None:
    token = await api.token()
    for path in ("/v1", "/v1/nothing", "/v2/meters", "/v1/meters/", "/docs", "/openapi.json"):
        problem(await api.get(path, token), 404, "not_found")
    response = await api.ask("POST", "/v1/meters", token)
    problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET"


async def test_parameters_that_nobody_knows_or_can_read_are_named(api: Api) -> None:
    token = await api.token()
    refused = problem(await api.get("/v1/meters", token, histroy="true"), 400, "invalid_request")
    assert [(one["pointer"], one["code"]) for one in refused["errors"]] == [
        ("query.histroy", "extra_forbidden")
    ]
    asked = {"meter": "usage_sum", "from_": "yesterday", "limit": 0}
    refused = problem(await api.get("/v1/usage", token, **asked), 400, "invalid_request")
    assert {one["pointer"]: one["code"] for one in refused["errors"]} == {
        "query.from": "bad_time",
        "query.limit": "greater_than_equal",
    }
    refused = problem(await api.get("/v1/usage", token), 400, "invalid_request")
    assert [one["pointer"] for one in refused["errors"]] == ["query.meter"]
    problem(await api.get("/v1/usage", token, meter="a\0b"), 400, "invalid_request")


async def test_a_bug_is_a_problem_with_its_trace_and_without_its_reason(
    api: Api, observed: Observed, monkeypatch: object
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(load, "catalog_within", broken)  # type: ignore[attr-defined]
    response = await api.get("/v1/meters", await api.token())
    document = problem(response, 500, "internal_error")
    assert "secret" not in response.text
    (span,) = observed.spans.get_finished_spans()
    assert document["trace_id"] == format_trace_id(span.context.trace_id)
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


async def test_every_request_is_measured_by_its_route(api: Api, observed: Observed) -> None:
    token = await api.token()
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await api.get("/v1/meters", token, headers={"traceparent": parent})
    await api.get("/v1/meters")
    await api.get("/v1/customers-own-secret", token)
    spans = observed.spans.get_finished_spans()
    assert [span.name for span in spans] == ["GET /v1/meters", "GET /v1/meters", "GET none"]
    assert [span.attributes["http.response.status_code"] for span in spans] == [200, 401, 404]
    assert format_trace_id(spans[0].context.trace_id) == parent.split("-")[1]
    points = {
        (metric.name, *sorted(dict(point.attributes).values()))
        for resource in observed.reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name in ("metering.api.duration", "metering.api.problems")
        for point in metric.data.data_points
    }
    assert points == {
        ("metering.api.duration", "/v1/meters", "200"),
        ("metering.api.duration", "/v1/meters", "401"),
        ("metering.api.duration", "404", "none"),
        ("metering.api.problems", "token_missing"),
        ("metering.api.problems", "not_found"),
    }


async def test_requests_in_flight_and_their_connections_are_measured(api: Api, observed: Observed) -> None:
    def now() -> tuple[float, float, float]:
        return (
            measured(observed.reader, "metering.api.in_flight"),
            measured(observed.reader, "metering.api.connections", state="used"),
            measured(observed.reader, "metering.api.connections", state="idle"),
        )

    async def at_rest() -> bool:  # the API itself asks for a connection now and then
        in_flight, used, idle = now()
        return (in_flight, used) == (0, 0) and idle >= 1

    token = await api.token()
    async with api.owner.transaction():
        await api.owner.execute("LOCK TABLE api_token IN ACCESS EXCLUSIVE MODE")
        asking = asyncio.create_task(api.get("/v1/meters", token))
        await waits_for_a_lock(api.owner)
        assert now()[:2] == (1, 1)
    assert (await asking).status_code == 200
    assert await until(at_rest, deadline_s=10)


async def waits_for_a_lock(owner: Connection) -> None:
    async def waits() -> bool:
        return bool(await owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    assert await until(waits, deadline_s=30)


async def test_it_measures_whether_it_can_serve_though_nobody_asks(
    api: Api, observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_ready() -> bool:
        return measured(observed.reader, "metering.ready") == 1

    async def is_not() -> bool:
        return measured(observed.reader, "metering.ready") == 0

    assert api
    assert await until(is_ready, deadline_s=30)
    monkeypatch.setattr(server, "READY_EVERY_S", 0.05)

    async def away(*_: object) -> dict[str, str]:
        return {"database": "away"}

    monkeypatch.setattr(probes, "reasons", away)
    assert await until(is_not, deadline_s=30)


async def test_the_page_that_problems_link_to_explains_every_code(api: Api) -> None:
    response = await api.get("/runbook")
    assert re.findall(r'id="([a-z-]+)"', response.text) == [code.anchor for code in KINDS]


async def test_probes_need_no_token(api: Api) -> None:
    assert (await api.get("/healthz")).json() == {"alive": True}
    response = await api.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"ready": True, "reasons": {}})


async def test_it_describes_itself(api: Api) -> None:
    response = await api.get("/v1/openapi.json")
    assert response.json()["info"]["title"] == "Metering"
    assert response.status_code == 200
