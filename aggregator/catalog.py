"""The meters as the fold uses them: by event type and time, ready to read an event's values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol

import numpy as np

from aggregator.memory import I64
from aggregator.meter import Meter, compile_meter


class StoredVersion(Protocol):
    """A meter version as the store keeps it."""

    @property
    def meter_version_id(self) -> int:
        """Names this version everywhere."""

    @property
    def meter(self) -> str:
        """The meter's name, shared by its versions."""

    @property
    def version(self) -> int:
        """1, 2, … within the meter."""

    @property
    def definition(self) -> Mapping[str, object]:
        """As `schemas.catalog.Meter.definition` wrote it."""

    @property
    def effective_from_us(self) -> int | None:
        """Event time from which it is in force; None: from the beginning."""

    @property
    def retired(self) -> bool:
        """Whether the meter counts nothing from here on."""


class StoredCatalog(Protocol):
    """All meter versions, and the head that names this state of the catalog."""

    @property
    def head(self) -> int:
        """Grows with every apply."""

    @property
    def versions(self) -> Sequence[StoredVersion]:
        """All that there ever were."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The meters of one event type over event time: `meters[i]` from `starts_us[i-1]` on."""

    starts_us: tuple[int, ...]
    meters: tuple[tuple[Meter, ...], ...]  # one more than the starts

    def spans(self, rows: I64, times_us: I64) -> Iterator[tuple[tuple[Meter, ...], I64]]:
        """The meters in force, with the rows of the events of that time."""
        if not self.starts_us:
            yield self.meters[0], rows
            return
        segments = np.searchsorted(np.array(self.starts_us), times_us[rows], side="right")
        for segment in np.unique(segments).tolist():
            yield self.meters[segment], rows[segments == segment]


@dataclass(frozen=True, slots=True)
class Catalog:
    """One head of the catalog, compiled."""

    head: int
    timelines: Mapping[str, Timeline]  # by event type
    versions: Mapping[int, Meter]  # by meter version, those of the past too
    since_us: int | None = None  # no meter counts an event of before; None: there is no such time

    @property
    def kinds(self) -> dict[int, str]:
        """Aggregation by meter version."""
        return {version: meter.aggregation for version, meter in self.versions.items()}

    @property
    def windows_us(self) -> dict[int, int]:
        """Window length by meter version."""
        return {version: meter.window_us for version, meter in self.versions.items()}


def compile_catalog(stored: StoredCatalog, since_us: int | None = None) -> Catalog:
    """The catalog as the fold uses it; a version is in force until the next one of its meter.

    Args:
        stored: all versions.
        since_us: event time before which nothing is to be counted; None to count all.
    """
    by_meter: dict[str, list[StoredVersion]] = {}
    for version in sorted(stored.versions, key=lambda v: (v.meter, v.version)):
        by_meter.setdefault(version.meter, []).append(version)
    compiled: dict[int, Meter] = {}
    spans: dict[str, list[tuple[int | None, int | None, Meter]]] = {}
    for versions in by_meter.values():
        for version, successor in zip_longest(versions, versions[1:]):
            if version.retired:
                continue
            meter = compile_meter(version.meter_version_id, version.meter, version.definition)
            compiled[meter.meter_version_id] = meter
            start_us = version.effective_from_us
            end_us = None if successor is None else successor.effective_from_us
            if since_us is not None:
                start_us = since_us if start_us is None else max(start_us, since_us)
            if successor is None or end_us is not None:  # a successor from the beginning leaves it no time
                spans.setdefault(meter.event_type, []).append((start_us, end_us, meter))
    timelines = {kind: _timeline(of_type) for kind, of_type in spans.items()}
    return Catalog(stored.head, timelines, compiled, since_us)


def _timeline(spans: list[tuple[int | None, int | None, Meter]]) -> Timeline:
    starts = sorted({edge for start, end, _ in spans for edge in (start, end) if edge is not None})
    segments = [None, *starts]
    return Timeline(
        tuple(starts), tuple(tuple(m for s, e, m in spans if _covers(s, e, at)) for at in segments)
    )


def _covers(start_us: int | None, end_us: int | None, segment_us: int | None) -> bool:
    if segment_us is None:
        return start_us is None
    return (start_us is None or start_us <= segment_us) and (end_us is None or segment_us < end_us)
