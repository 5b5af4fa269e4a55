"""Instants: RFC 3339 text to microseconds since the Unix epoch, and back."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.codes import Code, Refused

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MICROSECOND_DIGITS: Final = 6

# Three look-ups for a time such as 2026-11-24T03:00:12|.345|678Z, or 2026-11-24T03:00:12|Z|.
_SECONDS_KEPT: Final = 65_536
_SECONDS_US: Final[dict[str, int]] = {}  # of those that `parse_time_us` read
_MILLISECONDS_US: Final = {"Z": 0} | {f".{n:03}": n * 1000 for n in range(1000)}
_MICROSECONDS_US: Final[dict[str, int]] = {"": 0, "Z": 0} | {
    f"{n:0{digits}}Z": n * 10 ** (3 - digits) for digits in (1, 2, 3) for n in range(10**digits)
}

_HOUR_MINUTE: Final = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_LOCAL: Final = rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})[Tt]({_HOUR_MINUTE}:[0-5][0-9])(?:\.([0-9]+))?"
_ZONE: Final = f"([Zz]|[+-]{_HOUR_MINUTE})"
_DATE_TIME: Final = re.compile(f"{_LOCAL}{_ZONE}?")

DATE_TIME_PATTERN: Final = f"^{_LOCAL}{_ZONE}$"
"""How an instant is written (RFC 3339, section 5.6), but for days that do not exist."""


class TimeRefused(Refused):
    """A text that is no instant: `bad_time` or `naive_time`."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(code, ascii(text[:100]))


def parse_time_us(text: str) -> int:
    """Microseconds since the epoch of an RFC 3339 date-time with a zone, in the years 1 to 9999 UTC.

    Digits beyond the microsecond are cut, never rounded: 18:59:59.9999999 belongs to its hour.

    Raises:
        TimeRefused: the text is no such instant, has the second 60, or names no zone.
    """
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise TimeRefused(Code.BAD_TIME, text)
    date, time, fraction, zone = match.groups(default="")
    digits = fraction[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0")
    try:
        # Refuses days that do not exist, and instants outside the years 1 to 9999 once they are in UTC.
        local = datetime.fromisoformat(f"{date}T{time}.{digits}{zone.upper() or 'Z'}")
        instant = local.astimezone(UTC)
    except (ValueError, OverflowError):
        raise TimeRefused(Code.BAD_TIME, text) from None
    if not zone:
        raise TimeRefused(Code.NAIVE_TIME, text)
    return (instant - EPOCH) // _MICROSECOND


def quick_time_us(text: str) -> int:
    """What `parse_time_us` gives; quicker for a time in UTC within a second that was seen before."""
    try:
        if text[-1] == "Z":
            return _SECONDS_US[text[:19]] + _MILLISECONDS_US[text[19:23]] + _MICROSECONDS_US[text[23:]]
    except LookupError:
        beyond = text[26:-1]
        if beyond.isdecimal() and beyond.isascii():
            return quick_time_us(text[:26] + text[-1])
    time_us = parse_time_us(text)
    if text[-1] == "Z":
        if len(_SECONDS_US) == _SECONDS_KEPT:
            _SECONDS_US.clear()
        _SECONDS_US[text[:19]] = time_us - time_us % 1_000_000
    return time_us


def format_time(time_us: int) -> str:
    """The RFC 3339 text of an instant in UTC, with as many of the six fractional digits as it needs."""
    instant = EPOCH + time_us * _MICROSECOND
    text = instant.replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"
