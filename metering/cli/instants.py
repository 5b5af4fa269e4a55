"""Instants and durations on the command line."""

import re
from typing import Final

from metering.errors import UsageError
from schemas.catalog import duration_s
from schemas.codes import Refused
from schemas.instant import parse_time_us

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DURATION: Final = re.compile(r"[0-9]{1,7}[smhd]")


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


def duration_us(text: str | None, option: str) -> int | None:
    """Microseconds of a duration such as `15m`, `24h` or `90d`.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        return None
    if _DURATION.fullmatch(text) is None:
        raise UsageError("usage", f"{option} {text} is no duration: write 15m, 24h or 90d.")
    return duration_s(text) * 1_000_000
