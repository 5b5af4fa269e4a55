"""A client that keeps no contract: it writes to Kafka past the publisher, and none of it may be counted."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaProducer

_STRUCTURED: Final = [("content-type", b"application/cloudevents+json")]


async def send(
    bootstrap_servers: str, topic: str, event: Mapping[str, Any], values: Iterable[bytes | None]
) -> None:
    """Write records beside an event: to its subject's partition, with its time as their timestamp."""
    time = datetime.fromisoformat(event["time"][:26]).replace(tzinfo=UTC)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        for value in values:
            await producer.send_and_wait(
                topic,
                value,
                key=event["subject"].encode(),
                timestamp_ms=int(time.timestamp() * 1000),
                headers=_STRUCTURED,
            )


def malformed(event: Mapping[str, Any]) -> dict[str, bytes | None]:
    """Broken versions of an event, by the code with which each must be refused."""
    good = json.dumps(event)
    return {
        "no_value": None,
        "not_json": good[:-1].encode(),
        "bad_utf8": good.replace("llm.request", "llm.r\xe9quest").encode("latin-1"),
        "naive_time": json.dumps({**event, "time": event["time"].removesuffix("Z")}).encode(),
        "missing_attribute": json.dumps({name: event[name] for name in event if name != "id"}).encode(),
        "not_a_number": json.dumps({**event, "data": {"input_tokens": float("nan")}}).encode(),
        "number_too_long": json.dumps({**event, "data": {"input_tokens": 10**38 + 1}}).encode(),
        "too_old": json.dumps({**event, "id": "from-the-past", "time": "2023-11-01T00:00:00Z"}).encode(),
    }


def conflict(event: Mapping[str, Any]) -> bytes:
    """Another event under the id of one that is counted."""
    return json.dumps({**event, "data": {**event["data"], "input_tokens": 1_000_000}}).encode()
