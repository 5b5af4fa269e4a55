"""Measuring whatever the catalogue has, and reading what a process says it has measured."""

import asyncio
from collections.abc import Iterable, Mapping
from http.client import HTTPConnection
from typing import NamedTuple

from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families as parse_text

from metering.telemetry import Telemetry
from metering.telemetry.kinds import Counter, Gauge, Histogram, Instrument

PATTERNED = {
    "partition": "7",
    "meter": "calls",
    "source": "/orders",
    "route": "/v1/plans/{name}",
    "status": "200",
    "currency": "EUR",
}


def measure(telemetry: Telemetry, one: Instrument) -> None:
    """Give it the value 3, with labels that it lists."""
    labels = {
        label.name: label.values[0] if isinstance(label.values, tuple) else PATTERNED[label.name]
        for label in one.labels
    }
    match one:
        case Counter():
            telemetry.instruments.add(one, 3, **labels)
        case Histogram():
            telemetry.instruments.record(one, 3, **labels)
        case Gauge():
            telemetry.instruments.set(one, 3, **labels)


class Page(NamedTuple):
    """What `/metrics` has answered."""

    status: int
    content_type: str
    text: str


Labels = tuple[tuple[str, str], ...]
Samples = Mapping[tuple[str, Labels], float]


async def metrics_page(port: int, accept: str = "") -> Page:
    def ask() -> Page:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/metrics", headers={"accept": accept})
            response = connection.getresponse()
            return Page(response.status, response.headers["content-type"], response.read().decode())
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


async def scraped(port: int) -> Samples:
    """Every value by its name and labels."""
    return samples(parse_text((await metrics_page(port)).text))


def samples(families: Iterable[Metric]) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def shown_names(instrument: Instrument) -> set[str]:
    """The names that Prometheus sees of it."""
    parts = ("_bucket", "_sum", "_count") if isinstance(instrument, Histogram) else ("",)
    return {f"{instrument.prometheus_name}{part}" for part in parts}


def measured(reader: InMemoryMetricReader, name: str, **labels: str) -> float:
    """The value of a counter or gauge, by its name for OpenTelemetry; fails if there is none."""
    data = reader.get_metrics_data()
    (value,) = [
        point.value
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if metric.name == name
        and isinstance(point, NumberDataPoint)
        and dict(point.attributes or {}) == labels
    ]
    return value


def all_measured(reader: InMemoryMetricReader) -> dict[str, dict[tuple[str, ...], float]]:
    """Gauges' values by name, and by their labels' values in the order of the labels' names."""
    data = reader.get_metrics_data()
    return {
        metric.name: {
            tuple(str(value) for _, value in sorted((point.attributes or {}).items())): point.value
            for point in metric.data.data_points
            if isinstance(point, NumberDataPoint)
        }
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
