"""What can be done with a refused record as it is: brought back, or only corrected, or nothing at all.

A record is brought back only if it would be counted where the log stands now, as far as that can be known
before: by its contract, its time and its meter. What comes back in vain costs a record and another decision.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from aggregator.catalog import StoredVersion
from aggregator.meter import Columns, Meter, Path, compile_meter
from schemas.binding import Headers, headers_bytes
from schemas.codes import Code
from schemas.event import MAX_BESIDE_VALUE_BYTES
from schemas.partitioner import PARTITIONERS
from schemas.repair import REPAIR_HEADER
from schemas.wire import Event, Refusal, decode, too_large


class Obstacle(StrEnum):
    """Why a record cannot be brought back as it is. Scripted against: never rename one."""

    NEEDS_FIX = "needs_fix"
    NOT_YET = "not_yet"
    TOO_OLD_TO_REPAIR = "too_old_to_repair"
    METER_CANNOT_READ = "meter_cannot_read"
    NOT_METERED = "not_metered"
    NOT_SUBTRACTABLE = "not_subtractable"
    PROMOTED = "promoted"


class InTheWay(NamedTuple):
    """What stands in the way of a record, and what to do."""

    obstacle: Obstacle
    sentence: str


class LandingRules(NamedTuple):
    """What the topic's rules say of where and when a record may land; nothing of them is secret."""

    partitions: int
    partitioner: Literal["murmur2", "crc32"]
    clock: Literal["broker", "record"]
    skew_us: int
    repair_horizon_us: int


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a record would land: the topic's rules, and how far its log has come."""

    rules: LandingRules
    log_times_us: dict[int, int | None]  # by partition; None: nothing was counted yet
    versions: Sequence[StoredVersion]

    def partition_of(self, subject: str) -> int:
        """Where a subject's events belong."""
        return PARTITIONERS[self.rules.partitioner](subject.encode(), self.rules.partitions)

    def version(self, meter_version_id: int) -> StoredVersion:
        """A meter version."""
        return next(one for one in self.versions if one.meter_version_id == meter_version_id)

    def meter(self, meter_version_id: int) -> Meter:
        """A meter version, ready to read."""
        return _compiled(self.version(meter_version_id))


class Reading(NamedTuple):
    """What a newer version of a meter reads of an event, put where the older one looks for it."""

    version: int  # the newer one
    meter: Meter  # the older one
    read: Columns
    data: dict[str, Any]


class Way(NamedTuple):
    """How a record comes back: as it is, or for one meter with data that this meter can read."""

    event: Event
    target_partition: int
    reading: Reading | None = None


_FIRST_ROW: Final = np.array([0])

_ONLY_CORRECTED: Final = {
    Code.CONFLICT: "another event with its source and id is counted: correct it, with an id of its own",
    Code.VOID_DIFFERS: "the counted event is not the one that it repeats: correct it",
}


def decoded(key: bytes | None, value: bytes | None, headers: Headers) -> Event | Refusal:
    """What a record says, once it is freed from a repair header that it may have."""
    plain = [(name, text) for name, text in headers if name != REPAIR_HEADER]
    event = decode(value, plain)
    beside_value_bytes = len(key or b"") + headers_bytes(plain)
    return too_large(event, beside_value_bytes) if beside_value_bytes > MAX_BESIDE_VALUE_BYTES else event


def way_back(
    code: Code, event: Event | Refusal, meter_version_id: int | None, ground: Ground
) -> Way | InTheWay:
    """How a refused record can be brought back without a person's correcting it.

    Args:
        code: why it was refused.
        event: the record as it is read today.
        meter_version_id: the one meter version that could not read it; None: it was refused as a whole.
        ground: where it would land.
    """
    if isinstance(event, Refusal):
        return InTheWay(Obstacle.NEEDS_FIX, f"it breaks its contract ({event.code}): correct it")
    if code in _ONLY_CORRECTED:
        return InTheWay(Obstacle.NEEDS_FIX, _ONLY_CORRECTED[code])
    target_partition = ground.partition_of(event.subject)
    untimely = out_of_time(event, target_partition, ground)
    if untimely is not None:
        return untimely
    if meter_version_id is None:
        return Way(event, target_partition)
    return _way_for_meter(event, target_partition, meter_version_id, ground)


def out_of_time(event: Event, target_partition: int, ground: Ground) -> InTheWay | None:
    """Whether a repair of this event would be refused for its time."""
    log_time_us = ground.log_times_us[target_partition]
    if log_time_us is None:
        return None
    ahead_us = event.time_us - log_time_us
    if ahead_us > ground.rules.skew_us:
        return InTheWay(
            Obstacle.NOT_YET,
            f"its time is {ahead_us / 1e6:.0f} s ahead of the log: wait until then, or correct its time",
        )
    if -ahead_us > ground.rules.repair_horizon_us:
        return InTheWay(
            Obstacle.TOO_OLD_TO_REPAIR,
            f"its time is {-ahead_us / 86_400e6:.1f} days behind the log, beyond the repair horizon: settle "
            "it outside and discard it",
        )
    return None


def reads_alike(meter: Meter, event: Event | Refusal, wanted: Columns) -> bool:
    """Whether a meter reads exactly this value and these groups of an event."""
    if isinstance(event, Refusal):
        return False
    found = meter.read([event])
    return not found.refused and (found.values[0], found.groups.of(0)) == (
        wanted.values[0],
        wanted.groups.of(0),
    )


def _way_for_meter(
    event: Event, target_partition: int, meter_version_id: int, ground: Ground
) -> Way | InTheWay:
    version = ground.version(meter_version_id)
    meter = _compiled(version)
    if event.control is not None and not meter.is_subtractable:
        return InTheWay(
            Obstacle.NOT_SUBTRACTABLE, "its meter cannot take anything back: settle it outside and discard it"
        )
    if not meter.read([event]).refused:
        return Way(event, target_partition)
    newest = max((one for one in ground.versions if one.meter == version.meter), key=lambda one: one.version)
    if newest.meter_version_id == meter_version_id or newest.retired:
        return InTheWay(
            Obstacle.METER_CANNOT_READ, f"`{version.meter}` cannot read it: correct it, or the meter first"
        )
    reader = _compiled(newest)
    if event.type != reader.event_type or not len(reader.applying([event], _FIRST_ROW)):
        return InTheWay(
            Obstacle.NOT_METERED, f"`{version.meter}` v{newest.version} does not count it: discard it"
        )
    read = reader.read([event])
    if read.refused or not _is_same_measure(version, newest):
        return InTheWay(
            Obstacle.METER_CANNOT_READ,
            f"`{version.meter}` v{newest.version} cannot read it as v{version.version} would: correct it",
        )
    return Way(event, target_partition, Reading(newest.version, meter, read, _as_read(event, meter, read)))


def _is_same_measure(one: StoredVersion, other: StoredVersion) -> bool:
    """Whether the values of two versions of a meter mean the same, and stand under the same groups."""
    return _measure(one) == _measure(other)


def _measure(version: StoredVersion) -> tuple[object, ...]:
    definition: Any = version.definition
    return (
        definition["aggregation"],
        definition.get("unit"),
        [group["name"] for group in definition["group_by"]],
    )


def _as_read(event: Event, meter: Meter, read: Columns) -> dict[str, Any]:
    """The event's data, with what was read of it where this meter looks for it."""
    data = deepcopy(event.values)
    for path, text in zip(meter.group_paths, read.groups.of(0), strict=True):
        _put(data, path, text)
    if meter.value_path:
        _put(data, meter.value_path, read.values[0])
    return data


def _put(data: dict[str, Any], path: Path, value: object) -> None:
    for name in path[:-1]:
        inner = data.get(name)
        if not isinstance(inner, dict):
            inner = data[name] = {}
        data = inner
    data[path[-1]] = value


def _compiled(version: StoredVersion) -> Meter:
    return compile_meter(version.meter_version_id, version.meter, version.definition)
