"""Control events: ticks, which the pipeline itself writes to a usage topic, and voids, which products may."""

import json
from typing import TYPE_CHECKING, Final

from schemas.instant import format_time

if TYPE_CHECKING:
    from schemas.wire import Event

RESERVED_PREFIX: Final = "metering.control."
"""No usage event has a type that begins so."""

TICK_TYPE: Final = RESERVED_PREFIX + "tick"
"""A tick moves the frontier of a partition that nobody writes to; it counts nothing."""


VOID_TYPE: Final = RESERVED_PREFIX + "void"
"""A void withdraws one usage event that was published by mistake."""


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


def is_tick(event: "Event") -> bool:
    """Whether this event is a tick."""
    return event.type == TICK_TYPE
