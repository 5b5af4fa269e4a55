"""Where a list goes on: opaque to its reader, and good for the query that gave it out alone."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from metering.api.problems import ProblemResponseError
from schemas.problems import ProblemCode

MAX_CHARACTERS: Final = 4096
_MARK_CHARACTERS: Final = 8


def cursor(place: Sequence[Any], query: Sequence[Any]) -> str:
    """A cursor at a place (JSON values) of a query.

    It holds no rights: the token is asked again with every page.
    """
    text = json.dumps([_mark(query), *place], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def place_of(text: str, query: Sequence[Any], kinds: Sequence[type]) -> list[Any]:
    """The place that a cursor names.

    Raises:
        ProblemResponseError: it is no cursor of this query (`invalid_cursor`).
    """
    try:
        padded = text + "=" * (-len(text) % 4)
        place: list[Any]
        mark, *place = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise _refused("It cannot be read.") from None
    if mark != _mark(query):
        raise _refused("It belongs to a query with other parameters.")
    if list(map(type, place)) != list(kinds) or not all(map(_storable, place)):
        raise _refused("It cannot be read.")
    return place


def _storable(value: object) -> bool:
    """Whether the database could hold the value: a cursor may have been made up."""
    match value:
        case int():
            return -(2**63) <= value < 2**63
        case str():
            return "\0" not in value and not any("\ud800" <= one <= "\udfff" for one in value)
        case list():
            return all(map(_storable, value))
        case _:
            return True


def _mark(query: Sequence[Any]) -> str:
    text = json.dumps(query, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_MARK_CHARACTERS]


def _refused(detail: str) -> ProblemResponseError:
    return ProblemResponseError(ProblemCode.INVALID_CURSOR, detail)
