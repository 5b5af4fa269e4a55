"""Instants on the command line."""

import re
from typing import Final

from metering.errors import UsageError
from schemas.codes import Refused
from schemas.instant import parse_time_us

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def instant_us(text: str | None, option: str) -> int | None:
    """Microseconds since the epoch of RFC 3339 text; a date alone is its midnight, UTC.

    Raises:
        UsageError: it is neither.
    """
    if text is None:
        return None
    try:
        return parse_time_us(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
    except Refused as refused:
        raise UsageError(
            "usage", f"{option} {text} is no instant: write 2026-11-24T03:00:00Z ({refused.code})."
        ) from None
