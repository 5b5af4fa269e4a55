"""What a writing process remembers of the store, so that it need not ask at every flush."""

from collections.abc import Iterable, Mapping
from typing import Final

from aggregator.groups import GroupValues

SeriesName = tuple[int, str, GroupValues | None]
"""Meter version, subject and group values, as a `WindowKey` begins; no group values name `other`."""

_HALF: Final = 250_000


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

    def series_ids(self, names: Iterable[SeriesName]) -> list[int | None]:
        """The id of each series, None where it is not remembered."""
        young = self._young.get
        return [young(name) or self._again(name) for name in names]  # ids begin with 1

    def remember(self, series: Mapping[SeriesName, int]) -> None:
        """Take in ids that are committed."""
        self._young.update(series)
        if len(self._young) > self._half:
            self._old, self._young = self._young, {}

    def _again(self, name: SeriesName) -> int | None:
        series_id = self._old.get(name)
        if series_id is not None:
            self._young[name] = series_id
        return series_id
