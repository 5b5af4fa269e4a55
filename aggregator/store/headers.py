"""Kafka headers as JSON that any database text can hold, and back without loss.

One `[name, base64 value]` per header, in order, for a name may repeat. A name that no text in the database
can hold (U+0000, or bytes that are no UTF-8 and come as halves of surrogate pairs, see PEP 383) is itself an
array of one base64 text: its bytes.
"""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

from aggregator.store.connection import json_text

Headers = Sequence[tuple[str, bytes | None]]


def stored_headers(headers: Headers) -> str:
    """The JSON text."""
    return json_text([[_stored_name(name), _base64(value)] for name, value in headers])


def read_headers(stored: Sequence[Sequence[Any]]) -> Headers:
    """The headers that were stored."""
    return [(_read_name(name), None if value is None else b64decode(value)) for name, value in stored]


def storable(text: str | None) -> str | None:
    """Text that the database takes whatever a producer wrote; the record's own bytes are kept beside it."""
    if text is None:
        return None
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _stored_name(name: str) -> str | list[str | None]:
    return name if storable(name) == name else [_base64(name.encode("utf-8", "surrogateescape"))]


def _read_name(stored: str | list[str]) -> str:
    return stored if isinstance(stored, str) else b64decode(stored[0]).decode("utf-8", "surrogateescape")


def _base64(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()
