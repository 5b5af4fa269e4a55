"""Which sources of a partition are watched by name, and in which minutes of log time each was heard."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from aggregator.health.silence import KEPT_US
from schemas.instant import HOUR_US, MINUTE_US

NAMED: Final = 200
"""So many sources of a partition are watched by name, the first that it has met."""

OTHERS: Final = ""
"""The rest are watched together; no event has an empty source."""

_HOUR_MINUTES: Final = HOUR_US // MINUTE_US
_KEPT_MINUTES: Final = KEPT_US // MINUTE_US
_NEVER: Final = -1


class News(NamedTuple):
    """What a batch says that was not noted yet."""

    names: Sequence[str]  # sources that were heard in this minute
    others: int  # as many have no name; `OTHERS` is among the names then


class Heard:
    """The sources of one partition, and the minute (since the epoch) in which each was noted last."""

    def __init__(self, minutes: Mapping[str, int]) -> None:
        self._minutes = {OTHERS: _NEVER, **minutes}

    def news(self, sources: Sequence[str], minute: int) -> News:
        """What is to be noted of a batch that ends in a minute: most often nothing."""
        if len(self._minutes) > NAMED:
            self._forget_before(minute - _KEPT_MINUTES)
        names, others = [], 0
        room = NAMED + 1 - len(self._minutes)
        for source in sources:
            noted = self._minutes.get(source)
            if noted is None:
                if not room:
                    others += 1
                    continue
                room -= 1
            if noted != minute:
                names.append(source)
        if others and self._minutes[OTHERS] != minute:
            names.append(OTHERS)
        return News(names, others)

    def note(self, names: Sequence[str], minute: int) -> None:
        """They are noted in that minute."""
        self._minutes.update(dict.fromkeys(names, minute))

    def _forget_before(self, minute: int) -> None:
        self._minutes = {
            source: noted for source, noted in self._minutes.items() if noted >= minute or source == OTHERS
        }


def minute_of(at_us: int) -> int:
    """The minute since the epoch."""
    return at_us // MINUTE_US


def bit_of(minute: int) -> int:
    """The minute's bit among those of its hour."""
    return 1 << minute % _HOUR_MINUTES


def times_us(hour_us: int, minutes: int) -> list[int]:
    """The starts of an hour's minutes whose bits are set."""
    return [hour_us + place * MINUTE_US for place in range(_HOUR_MINUTES) if minutes >> place & 1]
