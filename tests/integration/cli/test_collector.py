"""What a collector is sent tells one story; what it does to us is nothing, however badly it behaves."""

import json
import uuid
from collections import Counter

import pytest
from integration.cli.fixtures import Metering, write
from support.collector import Behaviour, Collector, Span, collecting
from support.processes import Commands

from aggregator.store.connection import StoreOptions, connect

TOPIC = "name: collected\npartitions: 2\nclock: record\nretention_ms: -1\n"
CATALOG = """\
meters:
  - {name: tokens, event_type: call, aggregation: sum, value: tokens, window: 1h, grace: 15m}
plans:
  - name: plain
    currency: USD
    rounding: {places: 2}
    charges:
      - {name: usage, meter: tokens, price: {model: per_unit, unit_price: 0.01}}
subscriptions:
  - name: acme
    customer: acme
    subjects: [subject-0]
    plan: plain
    start: 2023-11-01T00:00:00Z
    billing_period: month
    timezone: UTC
"""
OFTEN = {
    "METERING_FLUSH_RECORDS": "10",
    "METERING_MAX_POLL_RECORDS": "10",
    "OTEL_BSP_SCHEDULE_DELAY": "50",  # ms
    "OTEL_BLRP_SCHEDULE_DELAY": "50",
    "OTEL_BSP_MAX_QUEUE_SIZE": "8",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8",
    "OTEL_BLRP_MAX_QUEUE_SIZE": "8",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "8",
}
"""Many batches, and queues that are full at once: sending goes on while counting does."""

SUBJECTS = 5
EVENTS = 100


def event(number: int) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": uuid.uuid4().hex,
        "source": "tests",
        "type": "call",
        "subject": f"subject-{number % SUBJECTS}",
        "time": f"2023-11-16T18:{number // 60:02}:{number % 60:02}Z",
        "data": {"tokens": number},
    }


async def prepared(metering: Metering) -> None:
    """A topic and a catalog."""
    write("topic.yaml", TOPIC)
    write("metering.toml", 'topic_file = "topic.yaml"\n')
    write("catalog.yaml", CATALOG)
    await metering("migrate")
    await metering("topics", "apply")
    await metering("catalog", "apply", "catalog.yaml")


def events_to_publish() -> Counter[str]:
    """A file of new events; what they add up to."""
    write("events.jsonl", "".join(json.dumps(event(number)) + "\n" for number in range(EVENTS)))
    totals: Counter[str] = Counter()
    for number in range(EVENTS):
        totals[f"subject-{number % SUBJECTS}"] += number
    return totals


def the_span(collector: Collector, service: str, name: str) -> Span:
    (span,) = [one for one in collector.spans if (one.service, one.name) == (service, name)]
    return span


async def test_a_rating_leads_to_the_batches_it_rests_on_and_these_to_who_published(
    metering: Metering, commands: Commands, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await prepared(metering)
    events_to_publish()
    with collecting() as collector:
        monkeypatch.setenv("METERING_OTLP_ENDPOINT", collector.url)
        commands.environment |= {"METERING_OTLP_ENDPOINT": collector.url}
        await metering("publish", "events.jsonl", "--tick-after", "20d")
        await commands.run("worker", "--until-caught-up")
        await commands.run("close", "--once")
        await commands.run("rate", "--once")

    published = the_span(collector, "metering-publisher", "publish")
    batches = [one for one in collector.spans if one.name == f"process {settings['METERING_TOPIC']}"]
    assert published.trace_id in {trace for batch in batches for trace, _ in batch.links}
    traces = {batch.trace_id for batch in batches}

    connection = await connect(settings["METERING_POSTGRES_DSN"], StoreOptions(schema="metering"))
    rows = await connection.fetch("SELECT trace_id, span_id FROM batch WHERE accepted > 0")
    await connection.close()
    kept = {tuple(row) for row in rows}
    assert kept <= {(batch.trace_id, batch.span_id) for batch in batches}

    rated = the_span(collector, "metering-rater", "rate")
    assert rated.attributes["metering.rated.versions"] == "first"
    assert rated.links
    assert rated.links <= kept

    lines = {(line.service, line.event): line for line in collector.lines}
    flushed = [line for line in collector.lines if line.event == "flushed"]
    assert {line.trace_id for line in flushed} <= traces
    assert sum(line.attributes["records"] for line in flushed) == EVENTS + 2
    assert lines["metering-rater", "rated"].trace_id == rated.trace_id
    for service in ("metering-worker", "metering-closer", "metering-rater"):
        assert lines[service, "stopped"].severity == "INFO"

    for metric in ("metering.flush.duration", "metering.fold.duration"):
        assert collector.exemplars[metric]
        assert collector.exemplars[metric] <= traces
    assert collector.exemplars["metering.rate.duration"] == {rated.trace_id}


async def test_a_collector_that_misbehaves_costs_no_event_and_holds_nobody_up(
    metering: Metering, commands: Commands
) -> None:
    expected: Counter[str] = Counter()
    await prepared(metering)
    behaviours: tuple[Behaviour, ...] = ("hangs", "fails", "drips", "refuses")
    for behaviour in behaviours:
        expected += events_to_publish()
        await metering("publish", "events.jsonl")
        with collecting(behaviour) as collector:
            endpoint = {"METERING_OTLP_ENDPOINT": collector.url}
            worker = commands.start("worker", "--until-caught-up", **endpoint, **OFTEN)
            await worker.succeeded(deadline_s=60)
            assert bool(collector.requests) == (behaviour != "refuses")
        (stopped,) = worker.events("stopped")
        assert (stopped["code"], stopped["accepted"]) == (None, EVENTS), behaviour
    lines = (await metering("totals", "--meter", "tokens", "--json")).lines
    assert {line["subject"]: int(line["value"]) for line in lines} == expected
