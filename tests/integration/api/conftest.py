"""What the API's tests share: a schema with usage in it, and an API that serves it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from integration.api.fixtures import Api, Observed
from integration.rating.test_versions import METERS, PLAN, SUBSCRIPTION, T0
from integration.rating.world import World
from integration.store.conftest import (  # noqa: F401 - fixtures
    connected,
    migrated,
    schema,
    shared_database,
    store,
)
from integration.store.counting import Store
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from playwright.async_api import Browser
from support import chromium

from aggregator.store.connection import Connection
from metering.api.server import ApiServer
from metering.settings import Settings
from metering.telemetry import make_telemetry


@pytest.fixture
def observed() -> Observed:
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    return Observed(make_telemetry(meters, tracers), spans, reader)


@pytest.fixture
def api_settings() -> dict[str, Any]:
    """Settings of this test's API; a test may override the fixture."""
    return {"api_requests_per_s": 10_000, "api_burst": 10_000}


@asynccontextmanager
async def serving(
    dsn: str,
    schema: str,  # noqa: F811
    owner: Connection,
    observed: Observed,
    **changes: Any,
) -> AsyncIterator[Api]:
    """An API in this process, by the role that it has in production."""
    settings = Settings(
        postgres_dsn=dsn,
        postgres_schema=schema,
        postgres_role="metering_api",
        api_port=0,
        drain_deadline_s=5,
        **changes,
    )
    server = ApiServer(settings, observed.telemetry)
    await server.start()
    yield Api(f"http://127.0.0.1:{server.address[1]}", owner)
    await server.stop()


@pytest_asyncio.fixture
async def api(
    store: Store,  # noqa: F811
    observed: Observed,
    api_settings: dict[str, Any],
) -> AsyncIterator[Api]:
    """An API on a schema that counts."""
    async with serving(store.dsn, store.schema, store.owner, observed, **api_settings) as one:
        yield one


@pytest_asyncio.fixture
async def rated_world(shared_database: str, schema: str) -> AsyncIterator[World]:  # noqa: F811
    """A world with a meter, a plan and two customers' subscriptions; nothing is counted yet."""
    world = await World.made(shared_database, schema, METERS, T0)
    await world.add_plan(PLAN)
    await world.add_subscription(SUBSCRIPTION)
    await world.add_subscription(
        {**SUBSCRIPTION, "name": "umbrella-pro", "customer": "umbrella", "subjects": ["umbrella"]}
    )
    yield world
    await world.close_connections()


@pytest_asyncio.fixture
async def rated_api(
    rated_world: World, observed: Observed, api_settings: dict[str, Any]
) -> AsyncIterator[Api]:
    """An API on that world."""
    async with serving(
        rated_world.dsn, rated_world.schema, rated_world.connection, observed, **api_settings
    ) as one:
        yield one


@pytest_asyncio.fixture
async def browser(say: Callable[[str], None]) -> AsyncIterator[Browser]:
    path = chromium.executable()
    if path is None:
        assert not chromium.is_required(), chromium.ABSENT
        say(chromium.ABSENT)
        pytest.skip(chromium.ABSENT)
    async with chromium.chromium(path) as running:
        yield running
