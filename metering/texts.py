"""Times and durations as people read them."""

from datetime import timedelta

from schemas.instant import format_time


def time_text(time_us: int | None) -> str | None:
    """An instant as RFC 3339 text."""
    return None if time_us is None else format_time(time_us)


def duration_text(duration_us: int) -> str:
    """A duration to the second."""
    return str(timedelta(seconds=round(duration_us / 1_000_000)))
