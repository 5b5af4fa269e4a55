"""Control events: ticks, which the pipeline itself writes to a usage topic, and voids, which products may."""

import hashlib
import json

import msgspec

from schemas.control_types import TICK_TYPE, VOID_TYPE
from schemas.event import UsageEvent
from schemas.instant import format_time
from schemas.wire import Event


def tick(source: str, id: str, time_us: int, subject: str) -> bytes:  # noqa: A002 - CloudEvents' own name
    """The value of a tick record: a CloudEvent in structured mode."""
    attributes = {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": TICK_TYPE,
        "subject": subject,
        "time": format_time(time_us),
        "data": {},
    }
    return json.dumps(attributes, ensure_ascii=False, separators=(",", ":")).encode()


def void(event: UsageEvent, data: bytes, id: str | None = None) -> bytes:  # noqa: A002 - CloudEvents' own name
    """The value of a void record: a CloudEvent in structured mode, at its event's time.

    Args:
        event: the usage event to withdraw.
        data: the bytes of its data, as they were published.
        id: of the void itself; by default one that is always the same for the same event.
    """
    attributes = {
        "specversion": "1.0",
        "id": void_id(event.source, event.id) if id is None else id,
        "source": event.source,
        "type": VOID_TYPE,
        "subject": event.subject,
        "time": event.time,
        "data": {
            "source": event.source,
            "id": event.id,
            "type": event.type,
            "time": event.time,
            "data": msgspec.Raw(data),
        },
    }
    return msgspec.json.encode(attributes)


def void_id(source: str, id: str) -> str:  # noqa: A002 - CloudEvents' own name
    """The id of an event's void, for a void needs one and nobody reads it."""
    return "void-" + hashlib.sha256(f"{len(source)} {source}{id}".encode()).hexdigest()


def is_tick(event: Event) -> bool:
    """Whether this event is a tick."""
    return event.type == TICK_TYPE
