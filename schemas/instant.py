"""Instants: RFC 3339 text to microseconds since the Unix epoch, and back."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.codes import Code, Refused

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MICROSECOND_DIGITS: Final = 6

# Two look-ups for a time such as 2026-11-24T03:00:12.345|678Z, or 2026-11-24T03:00:12.345|Z.
_TO_SECOND: Final = 19
_TO_MILLISECOND: Final = 23
_TO_MICROSECOND: Final = 26
_KEPT: Final = 65_536
_KNOWN_US: Final[dict[str, int]] = {}  # by text to the millisecond, or to the second if that is all there is
_MICROSECONDS_US: Final[dict[str, int]] = {"Z": 0} | {
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
    """What `parse_time_us` gives; quicker for a time in UTC within a millisecond that was seen before."""
    beginning, beyond = text[:_TO_MILLISECOND], text[_TO_MILLISECOND:]
    try:
        return _KNOWN_US[beginning] + _MICROSECONDS_US[beyond]
    except KeyError:
        cut = text[_TO_MICROSECOND:-1]
    if text[-1:] == "Z" and cut.isdecimal() and cut.isascii():
        return quick_time_us(text[:_TO_MICROSECOND] + "Z")
    if text[_TO_SECOND:] == "Z":
        beginning, beyond = text[:_TO_SECOND], "Z"
        if beginning in _KNOWN_US:
            return _KNOWN_US[beginning]
    time_us = parse_time_us(text)
    if beyond in _MICROSECONDS_US:
        if len(_KNOWN_US) == _KEPT:
            _KNOWN_US.clear()
        _KNOWN_US[beginning] = time_us - _MICROSECONDS_US[beyond]
    return time_us


def format_time(time_us: int) -> str:
    """The RFC 3339 text of an instant in UTC, with as many of the six fractional digits as it needs."""
    instant = EPOCH + time_us * _MICROSECOND
    text = instant.replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"
