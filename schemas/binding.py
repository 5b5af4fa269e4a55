"""What a Kafka record's headers say about the CloudEvent in it.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
Header values are UTF-8 as they are: unlike the HTTP binding, Kafka's has no percent-encoding.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from schemas.repair import REPAIR_HEADER

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]
"""A Kafka record's headers, as clients give them; a header without a value is none."""

CONTENT_TYPE: Final = "content-type"
ATTRIBUTE_PREFIX: Final = "ce_"

STRUCTURED_MEDIA_TYPE: Final = "application/cloudevents+json"
BINARY_MEDIA_TYPE: Final = "application/json"

_CLOUDEVENTS: Final = b"application/cloudevents"
_STRUCTURED: Final = STRUCTURED_MEDIA_TYPE.encode()
_STRUCTURED_AS_USUAL: Final = frozenset(
    _STRUCTURED + parameters
    for parameters in (b"", b"; charset=utf-8", b"; charset=UTF-8", b";charset=utf-8")
)
_STRUCTURED_ANYHOW: Final = re.compile(re.escape(_STRUCTURED) + rb"[ \t]*(?:;.*)?", re.IGNORECASE | re.DOTALL)


class ContentMode(NamedTuple):
    """How a record carries its event; of headers with one name the last counts, as with JSON keys."""

    attributes: dict[str, bytes] | None  # of binary mode; None: structured, they are in the value
    content_type: bytes | None
    is_repair: bool

    @property
    def is_unknown_format(self) -> bool:
        """Whether the value is a CloudEvent in another format than JSON."""
        return (
            self.attributes is None
            and self.content_type is not None
            and _STRUCTURED_ANYHOW.fullmatch(self.content_type) is None
        )


def content_mode(headers: Headers) -> ContentMode:
    """Structured if the content type says so, or if there is neither a content type nor a `ce_` header."""
    content_type: bytes | None = None
    attributes: dict[str, bytes] = {}
    is_repair = False
    for name, value in headers:
        if name == CONTENT_TYPE:
            content_type = value
        elif name == REPAIR_HEADER:
            is_repair = True
        elif name[:3] == ATTRIBUTE_PREFIX and value is not None:
            attributes[name[3:]] = value
    if content_type is None:
        return ContentMode(attributes or None, None, is_repair)
    if content_type[: len(_CLOUDEVENTS)].lower() == _CLOUDEVENTS:
        return ContentMode(None, content_type, is_repair)
    return ContentMode(attributes, content_type, is_repair)


def is_plainly_structured(headers: Headers) -> bool:
    """Whether this is certainly a live event in structured mode; a quick answer for the common headers."""
    content_type: bytes | None = _STRUCTURED
    for name, value in headers:
        if name == CONTENT_TYPE:
            content_type = value
        elif name == REPAIR_HEADER or name[:3] == ATTRIBUTE_PREFIX:
            return False
    return content_type in _STRUCTURED_AS_USUAL
