"""What a writing process remembers of the store, so that it need not ask at every flush."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

from aggregator.groups import GroupValues

_HALF: Final = 250_000
_NULL: Final = b"\xff\xff\xff\xff"


class SeriesName(NamedTuple):
    """What a series is: the first three fields of a `WindowKey`. `groups` is None for `other`."""

    meter_version_id: int
    subject: str
    groups: GroupValues | None

    def key(self) -> bytes:
        """16 bytes that stand for this name: BLAKE2b (RFC 7693) of a length-prefixed encoding."""
        parts = [self.meter_version_id.to_bytes(4, "big"), _prefixed(self.subject)]
        if self.groups is not None:
            parts += [len(self.groups).to_bytes(4, "big"), *map(_prefixed, self.groups)]
        return blake2b(b"".join(parts), digest_size=16).digest()


class StoreCache:
    """Series ids and time partitions known to be committed; one per process and schema.

    Series are bounded: those not met since half of the bound was filled are forgotten.
    """

    def __init__(self, half: int = _HALF) -> None:
        self._half = half
        self._young: dict[SeriesName, int] = {}
        self._old: dict[SeriesName, int] = {}
        self.time_partitions: set[tuple[str, int]] = set()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def series_id(self, name: SeriesName) -> int | None:
        """The id of a series, if it is remembered."""
        known = self._young.get(name)
        if known is None:
            known = self._old.get(name)
            if known is not None:
                self._young[name] = known
        return known

    def remember(self, series: Mapping[SeriesName, int]) -> None:
        """Take in ids that are committed."""
        self._young.update(series)
        if len(self._young) > self._half:
            self._old, self._young = self._young, {}


def _prefixed(text: str | None) -> bytes:
    if text is None:
        return _NULL
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big") + encoded
