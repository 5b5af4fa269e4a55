"""Instants: RFC 3339 text to microseconds since the Unix epoch, and back."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from schemas.codes import Code, Refused

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MICROSECOND_DIGITS: Final = 6

# A time that is plainly written: a digit may be nine more than its zero, all else is as it is.
_PLAIN: Final = np.frombuffer(b"0000-00-00T00:00:00.000000Z", dtype=np.uint8)
_MOST_ABOVE: Final = np.array([9 if cell == ord("0") else 0 for cell in _PLAIN], dtype=np.uint8)
_TO_SECOND: Final = 19
_YEAR_1_US: Final = (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // _MICROSECOND

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


def times_us(texts: Sequence[str]) -> Sequence[int | None]:
    """What `parse_time_us` gives of each, None where it refuses; quick for those plainly written in UTC."""
    plain = [text if len(text) == len(_PLAIN) else _as_plain(text) for text in texts]
    quick = _plain_times_us([text for text in plain if text])
    if quick is None:
        return [_time_us(text) for text in texts]
    if len(quick) == len(texts):
        return quick
    following = iter(quick)
    return [
        next(following) if plainly else _time_us(text) for plainly, text in zip(plain, texts, strict=True)
    ]


def _plain_times_us(texts: Sequence[str]) -> Sequence[int] | None:
    """Times of the plain length, all at once; None if one of them may have to be refused."""
    content = "".join(texts).encode(errors="replace")
    if not content or len(content) != len(texts) * len(_PLAIN):
        return None
    above = np.frombuffer(content, dtype=np.uint8).reshape(-1, len(_PLAIN)) - _PLAIN  # below is far above
    if (above > _MOST_ABOVE).any():
        return None
    local = np.ndarray(len(texts), f"S{len(_PLAIN) - 1}", content, strides=(len(_PLAIN),))
    try:
        found_us = local.astype("datetime64[us]").astype(np.int64)
    except ValueError:  # there is no such day, or no such time of day
        return None
    return found_us.tolist() if (found_us >= _YEAR_1_US).all() else None


def _as_plain(text: str) -> str:
    """The same time with six digits of its second; empty if it is not written in UTC."""
    fraction = text[_TO_SECOND + 1 : -1]
    is_fraction = text[_TO_SECOND : _TO_SECOND + 1] == "." and fraction.isdecimal() and text.isascii()
    if text[-1:] != "Z" or not (is_fraction or len(text) == _TO_SECOND + 1):
        return ""
    return f"{text[:_TO_SECOND]}.{fraction[:_MICROSECOND_DIGITS]:0<6}Z"


def _time_us(text: str) -> int | None:
    try:
        return parse_time_us(text)
    except TimeRefused:
        return None


def format_time(time_us: int) -> str:
    """The RFC 3339 text of an instant in UTC, with as many of the six fractional digits as it needs."""
    instant = EPOCH + time_us * _MICROSECOND
    text = instant.replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"
