"""What the API's tests share: a schema with usage in it, and an API that serves it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from integration.api.fixtures import Api, Observed
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


@pytest_asyncio.fixture
async def api(
    store: Store,  # noqa: F811
    observed: Observed,
    api_settings: dict[str, Any],
) -> AsyncIterator[Api]:
    """An API in this process, on a schema that counts: by the role that it has in production."""
    settings = Settings(
        postgres_dsn=store.dsn,
        postgres_schema=store.schema,
        postgres_role="metering_api",
        api_port=0,
        drain_deadline_s=5,
        **api_settings,
    )
    server = ApiServer(settings, observed.telemetry)
    await server.start()
    yield Api(f"http://127.0.0.1:{server.address[1]}", store.owner)
    await server.stop()
