"""What a Kafka record's headers say about the CloudEvent in it.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
Header values are UTF-8 as they are: unlike the HTTP binding, Kafka's has no percent-encoding.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

CONTENT_TYPE: Final = "content-type"
ATTRIBUTE_PREFIX: Final = "ce_"

STRUCTURED_MEDIA_TYPE: Final = "application/cloudevents+json"
BINARY_MEDIA_TYPE: Final = "application/json"

_CLOUDEVENTS: Final = b"application/cloudevents"
_STRUCTURED_JSON: Final = re.compile(
    rb"application/cloudevents\+json[ \t]*(?:;.*)?", re.IGNORECASE | re.DOTALL
)


class ContentMode(NamedTuple):
    """How a record carries its event; of headers with one name the last counts, as with JSON keys."""

    attributes: Mapping[str, bytes] | None  # None: structured mode, the attributes are in the value
    content_type: bytes | None
    has_known_format: bool  # False: a CloudEvents format other than JSON


def content_mode(headers: Sequence[tuple[str, bytes | None]]) -> ContentMode:
    """Structured if the content type says so, or if neither a content type nor a `ce_` header is there."""
    content_type: bytes | None = None
    attributes: dict[str, bytes] = {}
    for name, value in headers:
        if value is None:
            continue
        if name == CONTENT_TYPE:
            content_type = value
        elif name.startswith(ATTRIBUTE_PREFIX):
            attributes[name.removeprefix(ATTRIBUTE_PREFIX)] = value
    if content_type is None:
        return ContentMode(attributes or None, None, has_known_format=True)
    if content_type[: len(_CLOUDEVENTS)].lower() == _CLOUDEVENTS:
        known = _STRUCTURED_JSON.fullmatch(content_type) is not None
        return ContentMode(None, content_type, has_known_format=known)
    return ContentMode(attributes, content_type, has_known_format=True)
