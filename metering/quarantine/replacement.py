"""What is sent instead of a refused record: an event in structured mode, keyed by its subject."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from aggregator.store.headers import Headers
from aggregator.store.redrive import Replacement
from metering.publisher.encoding import to_json, to_void
from schemas.binding import CONTENT_TYPE, STRUCTURED_MEDIA_TYPE
from schemas.instant import format_time
from schemas.wire import Event, Void

HEADERS: Final[Headers] = [(CONTENT_TYPE, STRUCTURED_MEDIA_TYPE.encode())]


def rewritten(event: Event, data: Mapping[str, Any]) -> Replacement:
    """The same event, or void, with other data; an event and its void get equal bytes."""
    document = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": format_time(event.time_us),
        "data": data,
    }
    value = to_void(document, event.control.id) if isinstance(event.control, Void) else to_json(document)
    return Replacement(event.subject.encode(), value, HEADERS)


def digest(value: bytes | None) -> str | None:
    """Names bytes in the audit log."""
    return None if value is None else sha256(value).hexdigest()
