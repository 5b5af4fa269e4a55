"""What a writing process remembers of the store, so that it need not ask at every flush."""

from collections.abc import Iterable, Mapping
from typing import Final

from aggregator.groups import GroupValues
from aggregator.health.sources import Heard

SeriesName = tuple[int, str, GroupValues | None]
"""Meter version, subject and group values, as a `WindowKey` begins; no group values name `other`."""

_HALF: Final = 250_000


class StoreCache:
    """Series ids, time partitions and sources known to be committed; one per process and schema.

    Series are bounded: those not met since half of the bound was filled are forgotten.
    """

    def __init__(self, half: int = _HALF) -> None:
        self._half = half
        self._young: dict[SeriesName, int] = {}
        self._old: dict[SeriesName, int] = {}
        self.time_partitions: set[tuple[str, int]] = set()
        self.heard: dict[tuple[int, int], Heard] = {}  # by partition and epoch

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

    def know_sources(self, partition: int, epoch: int, heard: Heard) -> None:
        """Take in what is stored of a partition's sources, in place of what an earlier epoch knew."""
        self.heard = {key: one for key, one in self.heard.items() if key[0] != partition}
        self.heard[partition, epoch] = heard

    def _again(self, name: SeriesName) -> int | None:
        series_id = self._old.get(name)
        if series_id is not None:
            self._young[name] = series_id
        return series_id
