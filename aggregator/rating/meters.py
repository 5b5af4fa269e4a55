"""The versions of meters as rating reads them: when each was in force, and which carry on others' gauges."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from aggregator.catalog import StoredVersion
from schemas.catalog import Meter


class MeterVersion(NamedTuple):
    """A meter version with the event times in which it is in force: `[start_us, end_us)`."""

    meter_version_id: int
    version: int
    definition: Meter
    start_us: int | None  # None: from the beginning
    end_us: int | None  # None: for ever

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of its groups, in the order in which series keep their values."""
        return tuple(self.definition.group_by)

    @property
    def is_gauge(self) -> bool:
        """Whether its values hold on until they change."""
        return self.definition.aggregation == "gauge"

    def within(self, start_us: int, end_us: int) -> tuple[int, int]:
        """The part of `[start_us, end_us)` in which it is in force; empty or negative if there is none."""
        return (
            start_us if self.start_us is None else max(start_us, self.start_us),
            end_us if self.end_us is None else min(end_us, self.end_us),
        )

    def is_in_force(self, start_us: int, end_us: int) -> bool:
        """Whether it is in force at some time in `[start_us, end_us)`."""
        first_us, last_us = self.within(start_us, end_us)
        return first_us < last_us


Meters = Mapping[str, Sequence[MeterVersion]]
"""The versions of each meter that were ever in force, in order of time."""


def timelines(stored: Iterable[StoredVersion]) -> Meters:
    """When each meter version was in force: until the next one of its meter."""
    by_meter: dict[str, list[StoredVersion]] = {}
    for version in sorted(stored, key=lambda one: one.version):
        by_meter.setdefault(version.meter, []).append(version)
    return {meter: _timeline(versions) for meter, versions in by_meter.items()}


def _timeline(versions: Sequence[StoredVersion]) -> list[MeterVersion]:
    found = []
    for version, successor in pairwise([*versions, None]):
        if version is None or version.retired:
            continue
        if successor is not None and successor.effective_from_us is None:
            continue  # a successor from the beginning leaves it no time
        found.append(
            MeterVersion(
                version.meter_version_id,
                version.version,
                Meter.from_definition(version.definition),
                version.effective_from_us,
                None if successor is None else successor.effective_from_us,
            )
        )
    return found


def carrying(versions: Sequence[MeterVersion]) -> list[list[MeterVersion]]:
    """Versions of a gauge that join and have groups of the same names: each carries on the one before."""
    runs: list[list[MeterVersion]] = []
    for version in versions:
        before = runs[-1][-1] if runs else None
        joins = before is not None and before.end_us == version.start_us
        if before is not None and joins and set(before.groups) == set(version.groups):
            runs[-1].append(version)
        else:
            runs.append([version])
    return runs
