"""`/metrics`: every process's instruments under the names of the catalogue, and nothing else."""

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import get_args

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from support.telemetry import Samples, measure, metrics_page, samples, scraped, shown_names

from metering.process.health import AdminServer, Readiness
from metering.settings import Settings
from metering.telemetry import Telemetry, catalogue, no_telemetry, start_telemetry
from metering.telemetry.catalogue import CATALOGUE
from metering.telemetry.kinds import Counter, Histogram, Process
from metering.telemetry.prometheus import PROCESS_METRICS

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


@asynccontextmanager
async def serving(telemetry: Telemetry) -> AsyncIterator[int]:
    """The port of an admin server."""
    server = AdminServer(Readiness("worker", no_telemetry().instruments).told, telemetry, "127.0.0.1", 0)
    await server.start()
    try:
        yield server.port
    finally:
        await server.close()
        telemetry.close()


def started(process: Process = "worker") -> Telemetry:
    return start_telemetry(Settings(admin_port=0, otlp_endpoint=None), process)


async def shown_by(telemetry: Telemetry) -> Samples:
    async with serving(telemetry) as port:
        return await scraped(port)


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
async def test_every_instrument_is_shown_by_the_name_in_the_catalogue_and_nothing_else(accept: str) -> None:
    telemetry = started()
    for one in CATALOGUE:
        measure(telemetry, one)
    async with serving(telemetry) as port:
        answer = await metrics_page(port, accept)
    assert answer.status == 200
    assert answer.content_type.startswith("application/openmetrics-text" if accept else "text/plain")
    shown = samples((parse_openmetrics if accept else parse_text)(answer.text))
    names = {name for name, _ in shown} - set(PROCESS_METRICS) - {"target_info"}
    assert names == {name for one in CATALOGUE for name in shown_names(one)}
    by_name = {name: labels for (name, labels), value in shown.items() if value == 3}
    for one in CATALOGUE:
        name = f"{one.prometheus_name}_sum" if isinstance(one, Histogram) else one.prometheus_name
        assert {label for label, _ in by_name[name]} == {label.name for label in one.labels}


def test_names_are_as_prometheus_wants_them() -> None:
    for one in CATALOGUE:
        assert re.fullmatch(r"metering(_[a-z]+)+", one.prometheus_name)
        assert one.unit in ("s", "By") or re.fullmatch(r"\{[a-z]+\}", one.unit), one.name


@pytest.mark.parametrize("process", get_args(Process))
async def test_the_counters_of_a_process_begin_with_zero_and_no_others(process: Process) -> None:
    shown = await shown_by(started(process))
    counters = [one for one in CATALOGUE if isinstance(one, Counter) and process in one.of]
    expected = {one.prometheus_name for one in counters if not one.labels}
    assert expected <= {name for name, _ in shown}
    for one in counters:
        if len(one.labels) == 1 and isinstance(one.labels[0].values, tuple):
            label = one.labels[0]
            for value in one.labels[0].values:
                assert shown[one.prometheus_name, ((label.name, value),)] == 0
    mine = {one.prometheus_name for one in counters}
    assert {name for name, _ in shown if name.startswith("metering_")} <= mine
    assert len(shown) < 200


async def test_two_telemetries_of_one_interpreter_share_nothing() -> None:
    one, two = started(), started()
    one.instruments.add(catalogue.TICKS, 5)
    two.instruments.add(catalogue.TICKS, 7)
    assert (await shown_by(one))["metering_ticks_total", ()] == 5
    assert (await shown_by(two))["metering_ticks_total", ()] == 7


async def test_scrapes_at_once_are_all_whole() -> None:
    telemetry = started()
    async with serving(telemetry) as port:
        answers = await asyncio.gather(*(metrics_page(port) for _ in range(4)))
    for answer in answers:
        assert ("metering_ticks_total", ()) in samples(parse_text(answer.text))


async def test_metrics_are_pulled_while_a_collector_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metering.telemetry.sdk.EXPORT_TIMEOUT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as collector:  # accepts, never answers
        endpoint = f"http://127.0.0.1:{collector.getsockname()[1]}"
        telemetry = start_telemetry(Settings(admin_port=0, otlp_endpoint=endpoint), "worker")
        telemetry.instruments.add(catalogue.TICKS, 5)
        assert (await shown_by(telemetry))["metering_ticks_total", ()] == 5
    # What was left behind ends by itself, before another test is surprised by it.
    for thread in threading.enumerate():
        if "shutdown" in thread.name or "Otel" in thread.name:
            thread.join()


async def test_who_measures_nothing_says_so() -> None:
    async with serving(no_telemetry()) as port:
        assert (await metrics_page(port)).status == 404


async def test_who_measures_is_told() -> None:
    settings = Settings(admin_port=0, instance="worker-3", otlp_endpoint=None)
    shown = await shown_by(start_telemetry(settings, "worker"))
    (labels,) = [dict(labels) for name, labels in shown if name == "target_info"]
    assert (labels["service_name"], labels["service_instance_id"]) == ("metering-worker", "worker-3")
