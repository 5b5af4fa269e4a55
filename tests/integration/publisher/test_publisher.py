"""The publisher against a real broker: where events go, what it refuses, and that no failure is lost."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import format_span_id, format_trace_id
from support.topics import TopicFactory, create_topic

from metering.dev.kafka.server import KafkaServer
from metering.errors import StoppedError, UnreachableError
from metering.publisher import Delivered, DeliveryFailed, EventRefused, Publisher, Receipt
from metering.publisher.lines import Line
from metering.publisher.run import publish_lines
from metering.settings import Settings
from schemas.control import is_tick
from schemas.instant import format_time, parse_time_us
from schemas.partitioner import PARTITIONERS
from schemas.topic import TopicContract
from schemas.wire import Event, Void, decode

CONTRACTS = Path(__file__).parents[3] / "docs" / "contracts.md"
NOW_US = parse_time_us("2023-11-16T18:00:00Z")
RECORD_CLOCK = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}


def event(number: int, subject: str = "acme", time_us: int = NOW_US) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "test",
        "type": "call",
        "subject": subject,
        "time": format_time(time_us),
        "data": {"n": number},
    }


async def read_all(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        records: list[ConsumerRecord] = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=1000)).values():
                records += batch
        return records
    finally:
        await consumer.stop()


@pytest.fixture
def settings(kafka_bootstrap: str) -> Settings:
    return Settings(kafka_bootstrap_servers=kafka_bootstrap)


def contract(name: str, **fields: Any) -> TopicContract:
    return TopicContract.model_validate({"name": name, "partitions": 4, **fields})


@pytest.mark.parametrize("partitioner", ["murmur2", "crc32"])
async def test_events_are_keyed_and_placed_by_subject_and_receipts_tell_where(
    settings: Settings, topic: TopicFactory, partitioner: str
) -> None:
    name = await topic(partitions=4)
    subjects = [f"customer-{number}" for number in range(10)]
    async with Publisher(settings, contract(name, partitioner=partitioner)) as publisher:
        receipts = {
            subject: await publisher.publish(event(number, subject))
            for number, subject in enumerate(subjects)
        }
        delivered = {subject: await receipt for subject, receipt in receipts.items()}
    records = await read_all(settings.kafka_bootstrap_servers, name)
    assert {(r.key.decode(), r.partition, r.offset) for r in records} == {
        (subject, partition, offset) for subject, (partition, offset) in delivered.items()
    }
    partition_of = PARTITIONERS[contract(name, partitioner=partitioner).partitioner]
    assert all(r.partition == partition_of(r.key, 4) for r in records)
    assert {r.headers for r in records} == {(("content-type", b"application/cloudevents+json"),)}
    assert publisher.acknowledged == 10
    assert {type(decode(r.value, r.headers)) for r in records} == {Event}


async def test_the_bytes_of_a_line_are_not_touched(settings: Settings, topic: TopicFactory) -> None:
    name = await topic(partitions=4)
    line = json.dumps({**event(1), "extension": "kept", "data": {"n": 1}}, indent=1).encode()
    async with Publisher(settings, contract(name)) as publisher:
        await publisher.publish(line)
    (record,) = await read_all(settings.kafka_bootstrap_servers, name)
    assert record.value == line


async def test_a_void_meets_its_event_in_its_partition_with_its_bytes(
    settings: Settings, topic: TopicFactory
) -> None:
    name = await topic(partitions=4)
    given = json.dumps({**event(1), "data": {"n": 1, "m": "é"}}, indent=1).encode()
    async with Publisher(settings, contract(name)) as publisher:
        receipts = [
            await publisher.publish(given),
            await publisher.void(given),
            await publisher.void(given, "2"),
        ]
        placed = [(await receipt).partition for receipt in receipts]
    records = await read_all(settings.kafka_bootstrap_servers, name)
    original, void, other = (decode(record.value, record.headers) for record in records)
    assert len(set(placed)) == 1
    assert isinstance(original, Event)
    for withdrawn in (void, other):
        assert isinstance(withdrawn, Event)
        assert isinstance(withdrawn.control, Void)
        assert bytes(withdrawn.data) == bytes(original.data)
        assert (withdrawn.source, withdrawn.id, withdrawn.time_us) == (
            *(original.source, original.id, original.time_us),
        )
    assert {record.key for record in records} == {b"acme"}


async def test_a_refused_event_is_not_sent(settings: Settings, topic: TopicFactory) -> None:
    name = await topic(partitions=4)
    async with Publisher(settings, contract(name)) as publisher:
        with pytest.raises(EventRefused) as refusal:
            await publisher.publish({**event(1), "subject": ""})
        assert refusal.value.code == "empty_subject"
        with pytest.raises(ValueError, match="broker gives"):
            await publisher.publish(event(1), timestamp_us=NOW_US)
        with pytest.raises(ValueError, match="clock: record"):
            await publisher.tick(NOW_US)
    assert await read_all(settings.kafka_bootstrap_servers, name) == []


async def test_the_current_span_travels_in_the_headers(settings: Settings, topic: TopicFactory) -> None:
    name = await topic(partitions=4)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("product")
    async with Publisher(settings, contract(name)) as publisher:
        with tracer.start_as_current_span("order") as span:
            await publisher.publish(event(1))
    (record,) = await read_all(settings.kafka_bootstrap_servers, name)
    context = span.get_span_context()
    expected = f"00-{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}-"
    assert dict(record.headers)["traceparent"].decode().startswith(expected)


async def test_on_a_record_clock_the_logs_time_never_goes_back_and_ticks_end_it(
    settings: Settings, topic: TopicFactory
) -> None:
    name = await topic(partitions=4, configs=RECORD_CLOCK)
    second_us = 1_000_000
    times_us = [NOW_US + second_us, NOW_US, NOW_US + 3 * second_us + 1, NOW_US + 2 * second_us]
    async with Publisher(settings, contract(name, clock="record", retention_ms=-1)) as publisher:
        for number, time_us in enumerate(times_us):
            await publisher.publish(event(number, time_us=time_us))
        await publisher.publish(event(9, time_us=NOW_US), timestamp_us=NOW_US + 4 * second_us)
        assert publisher.newest_us == NOW_US + 4 * second_us
        with pytest.raises(ValueError, match="cannot be older"):
            await publisher.tick(NOW_US + 3 * second_us)
        await publisher.tick(NOW_US + 5 * second_us + 1)
        with pytest.raises(EventRefused) as refusal:
            await publisher.publish(event(10, time_us=parse_time_us("2999-01-01T00:00:00Z")))
        assert refusal.value.code == "in_future"
    records = await read_all(settings.kafka_bootstrap_servers, name)
    clock = [r.timestamp * 1000 - NOW_US for r in records if r.key == b"acme"]
    assert clock == [second_us, second_us, 3 * second_us, 3 * second_us, 4 * second_us]
    ticks = [r for r in records if r.key is None]
    assert sorted(r.partition for r in ticks) == [0, 1, 2, 3]
    assert all(r.timestamp * 1000 >= NOW_US + 5 * second_us + 1 for r in ticks)
    events = [decode(r.value, r.headers) for r in ticks]
    assert all(isinstance(one, Event) and is_tick(one) for one in events)


async def test_a_missing_topic_is_not_created_by_asking_for_it(settings: Settings) -> None:
    for _ in range(2):
        with pytest.raises(UnreachableError, match="topics apply") as refusal:
            await Publisher(settings, contract("absent-topic")).__aenter__()
        assert refusal.value.code == "topic_missing"


async def test_another_number_of_partitions_is_refused(settings: Settings, topic: TopicFactory) -> None:
    name = await topic(partitions=3)
    with pytest.raises(StoppedError) as refusal:
        await Publisher(settings, contract(name)).__aenter__()
    assert refusal.value.code == "partition_count_changed"


async def test_no_broker_is_a_sentence() -> None:
    with pytest.raises(UnreachableError) as refusal:
        await Publisher(Settings(kafka_bootstrap_servers="127.0.0.1:1"), contract("t")).__aenter__()
    assert refusal.value.code == "kafka_unreachable"


async def lines(*events: bytes | EventRefused) -> AsyncIterator[Line]:
    for number, one in enumerate(events, start=1):
        yield Line(number, one, 1)


async def test_refused_lines_are_reported_and_the_rest_is_sent(
    settings: Settings, topic: TopicFactory
) -> None:
    name = await topic(partitions=4)
    refused: list[tuple[int, str]] = []
    events = [json.dumps(event(number)).encode() for number in range(3)]
    async with Publisher(settings, contract(name)) as publisher:
        report = await publish_lines(
            publisher,
            lines(events[0], b"{", EventRefused("bad_cell", "why"), events[1], events[2]),
            on_refused=lambda number, refusal: refused.append((number, refusal.code)),
            on_progress=lambda _: None,
        )
    assert (report.published, report.refused) == (3, 2)
    assert refused == [(2, "not_json"), (3, "bad_cell")]
    assert len(await read_all(settings.kafka_bootstrap_servers, name)) == 3


async def test_what_the_broker_did_not_take_is_told_once(
    own_kafka: KafkaServer,
) -> None:
    """A broker that dies: of each event either its receipt tells, or the flush, or the body's exception."""
    settings = Settings(kafka_bootstrap_servers=own_kafka.address, publish_timeout_s=1)
    await create_topic(own_kafka.address, "t", partitions=4)
    publisher = Publisher(settings, contract("t"))
    waiting: list[asyncio.Future[Delivered]] = []

    async def body() -> None:
        async with publisher:
            await (await publisher.publish(event(0)))
            own_kafka.kill()
            waiting.append(asyncio.ensure_future(_wait(await publisher.publish(event(1)))))
            await publisher.publish(event(2))
            with pytest.raises(DeliveryFailed) as flushed:
                await publisher.flush()
            assert {failure.id for failure in flushed.value.failures} == {"e1", "e2"}
            raise KeyError("body")

    with pytest.raises(KeyError) as raised:
        await body()
    assert any("1 event was not acknowledged, the first 'e2'" in note for note in raised.value.__notes__)
    with pytest.raises(DeliveryFailed) as told:
        await waiting[0]
    assert [failure.id for failure in told.value.failures] == ["e1"]
    assert publisher.acknowledged == 1


async def _wait(receipt: Receipt) -> Delivered:
    return await receipt


async def test_the_page_shows_how_to_publish_from_python(
    settings: Settings, topic: TopicFactory, tmp_path: Path
) -> None:
    """Its own program, and nothing else."""
    name = await topic(partitions=4)
    (tmp_path / "topic.yaml").write_text(f"{{name: {name}, partitions: 4}}")
    page = CONTRACTS.read_text()
    program = page[page.index("```python\n") + len("```python\n") :].split("\n```")[0]
    environment = {
        "METERING_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "METERING_TOPIC_FILE": str(tmp_path / "topic.yaml"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=os.environ | environment
    )
    assert await process.wait() == 0
    published, withdrawn = await read_all(settings.kafka_bootstrap_servers, name)
    event = decode(published.value, published.headers)
    void = decode(withdrawn.value, withdrawn.headers)
    assert isinstance(event, Event)
    assert isinstance(void, Event)
    assert isinstance(void.control, Void)
    assert (void.id, void.source) == (event.id, event.source)
