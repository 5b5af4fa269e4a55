"""A client that keeps no contract: it writes to Kafka past the publisher, and none of it may be counted."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer

_STRUCTURED: Final = [("content-type", b"application/cloudevents+json")]


class Bad(NamedTuple):
    """A record, and the code with which it must be refused."""

    code: str
    subject: str
    value: bytes | None


def malformed(event: Mapping[str, Any]) -> list[Bad]:
    """Broken versions of an event, each for another customer."""
    text, data = json.dumps(event), event["data"]
    broken = {
        "no_value": None,
        "not_json": text[:-1].encode(),
        "bad_utf8": text.replace("llm.request", "llm.r\xe9quest").encode("latin-1"),
        "naive_time": json.dumps({**event, "time": event["time"].removesuffix("Z")}).encode(),
        "missing_attribute": json.dumps({name: event[name] for name in event if name != "id"}).encode(),
        "not_a_number": json.dumps({**event, "data": {**data, "input_tokens": float("nan")}}).encode(),
        "number_too_long": json.dumps({**event, "data": {**data, "input_tokens": 10**38}}).encode(),
        "reserved_type": json.dumps({**event, "type": "metering.control.stop"}).encode(),
    }
    return [Bad(code, f"customer-{number:02}", value) for number, (code, value) in enumerate(broken.items())]


def conflict(event: Mapping[str, Any]) -> Bad:
    """Another event under the id of one that is counted."""
    other = {**event, "data": {**event["data"], "input_tokens": 1_000_000}}
    return Bad("conflict", event["subject"], json.dumps(other).encode())


async def send(bootstrap_servers: str, topic: str, records: Iterable[Bad], timestamp_ms: int) -> None:
    """Write records to a topic with `clock: record`, keyed by their subjects."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        for record in records:
            await producer.send_and_wait(
                topic,
                record.value,
                key=record.subject.encode(),
                timestamp_ms=timestamp_ms,
                headers=_STRUCTURED,
            )
