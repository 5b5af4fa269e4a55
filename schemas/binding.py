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
USUAL_HEADERS: Final = [(CONTENT_TYPE, _STRUCTURED)]
"""Those of most events, as the client gives them."""

_STRUCTURED_ANYHOW: Final = re.compile(re.escape(_STRUCTURED) + rb"[ \t]*(?:;.*)?", re.IGNORECASE | re.DOTALL)


_FRAME_BYTES: Final = 6  # the two lengths of a header, as varints


def headers_bytes(headers: Headers) -> int:
    """What a record's headers take in the log."""
    return sum(len(name) + len(value or b"") + _FRAME_BYTES for name, value in headers)


class ContentMode(NamedTuple):
    """How a record carries its event; of headers with one name the last counts, as with JSON keys."""

    attributes: dict[str, bytes] | None  # of binary mode; None: structured, they are in the value
    content_type: bytes | None
    is_repair: bool
    has_broken_names: bool

    @property
    def is_unknown_format(self) -> bool:
        """Whether the value is a CloudEvent in another format than JSON."""
        return (
            self.attributes is None
            and self.content_type is not None
            and _STRUCTURED_ANYHOW.fullmatch(self.content_type) is None
        )


def is_unicode(name: str) -> bool:
    """Whether a header's name was UTF-8: bytes that are not come as halves of surrogate pairs (PEP 383)."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def content_mode(headers: Headers) -> ContentMode:
    """Structured if the content type says so, or if there is neither a content type nor a `ce_` header."""
    content_type: bytes | None = None
    attributes: dict[str, bytes] = {}
    is_repair = has_broken_names = False
    for name, value in headers:
        if not name.isascii() and not is_unicode(name):
            has_broken_names = True
        elif name == CONTENT_TYPE:
            content_type = value
        elif name == REPAIR_HEADER:
            is_repair = True
        elif name[:3] == ATTRIBUTE_PREFIX and value is not None:
            attributes[name[3:]] = value
    if content_type is None:
        return ContentMode(attributes or None, None, is_repair, has_broken_names)
    if content_type[: len(_CLOUDEVENTS)].lower() == _CLOUDEVENTS:
        return ContentMode(None, content_type, is_repair, has_broken_names)
    return ContentMode(attributes, content_type, is_repair, has_broken_names)


def is_plainly_structured(headers: Headers) -> bool:
    """Whether this is certainly a live event in structured mode; a quick answer for the common headers."""
    content_type: bytes | None = _STRUCTURED
    for name, value in headers:
        if name == CONTENT_TYPE:
            content_type = value
        elif name == REPAIR_HEADER or name[:3] == ATTRIBUTE_PREFIX or not name.isascii():
            return False
    return content_type in _STRUCTURED_AS_USUAL
