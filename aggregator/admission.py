"""Which records may be counted at all, before anyone asks whether they were counted already.

The checks run in this order, and the first that refuses names the code: the store's refusal, what a range of
the log cannot find out again (`PartitionState.foretold`), the event contract, ticks, the partition, the time.
A live event is admitted iff `F(o) - W <= time <= F(o) + skew`; a repair record iff `F(o) - repair horizon <=
time <= F(o) + skew`. The time of a void is that of its event.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np

from aggregator.memory import I64
from aggregator.reading import Reading
from aggregator.state import TopicRules, live_since_hour
from schemas.codes import Code
from schemas.instant import HOUR_US
from schemas.repair import RepairOrigin
from schemas.wire import Event, Refusal


class Refused(NamedTuple):
    """A record that goes to quarantine; `place` is its index in the reading."""

    place: int
    code: Code
    detail: str
    target_partition: int | None = None


@dataclass(frozen=True, slots=True)
class Candidates:
    """Admitted records in log order, as columns; `places` are indexes in the reading."""

    places: list[int]
    times_us: I64
    hours: I64  # of the event's time
    since_hours: I64  # the earliest hour remembered where the record stands
    repairs: Mapping[int, RepairOrigin]  # by place
    void_places: Sequence[int]  # of voids, admitted or not


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of a reading's records at the door."""

    candidates: Candidates
    refused: list[Refused]
    ticks: int


def admit(
    reading: Reading,
    frontiers_us: I64,
    rules: TopicRules,
    partition_of: Callable[[str], int],
    rejected: frozenset[int],
    foretold: Mapping[int, Code],
) -> Admission:
    """Sort a reading's records into candidates, refusals and ticks.

    Args:
        reading: decoded records.
        frontiers_us: F(o) of each record.
        rules: of the topic.
        partition_of: the partition that a subject's events belong to.
        rejected: offsets whose values the database has refused.
        foretold: offsets whose refusal rests on what is not read again, with its code.
    """
    at_door = _at_door(reading, partition_of, _told(reading, rejected, foretold))
    refused, repairs = at_door.refused, at_door.repairs
    places = np.array(at_door.places, dtype=np.int64)
    times_us = np.array([reading.events[place].time_us for place in at_door.places], dtype=np.int64)
    frontiers = frontiers_us[places]
    oldest_us = frontiers - rules.acceptance_window_us
    if repairs:
        is_repair = np.array([place in repairs for place in at_door.places], dtype=bool)
        oldest_us[is_repair] = frontiers[is_repair] - rules.repair_horizon_us
    admitted = (oldest_us <= times_us) & (times_us <= frontiers + rules.skew_us)
    for row in np.flatnonzero(~admitted):
        place = int(places[row])
        refused.append(_untimely(place, int(times_us[row] - frontiers[row]), place in repairs))
    if refused:
        refused.sort(key=lambda refusal: refusal.place)
    candidates = Candidates(
        places=places[admitted].tolist(),
        times_us=times_us[admitted],
        hours=times_us[admitted] // HOUR_US,
        since_hours=live_since_hour(rules, frontiers[admitted]),
        repairs=repairs,
        void_places=at_door.void_places,
    )
    return Admission(candidates, refused, at_door.ticks)


class _Door(NamedTuple):
    places: list[int]
    refused: list[Refused]
    repairs: dict[int, RepairOrigin]
    void_places: list[int]
    ticks: int


def _at_door(
    reading: Reading,
    partition_of: Callable[[str], int],
    told: Mapping[int, tuple[Code, str]],
) -> _Door:
    if not told and _are_plain(reading, partition_of):
        return _Door(list(range(len(reading.events))), [], {}, [], 0)
    places: list[int] = []
    refused: list[Refused] = []
    repairs: dict[int, RepairOrigin] = {}
    void_places: list[int] = []
    ticks = 0
    for place, event in enumerate(reading.events):
        if told and reading.records[place].offset in told:
            refused.append(Refused(place, *told[reading.records[place].offset]))
        elif isinstance(event, Refusal):
            refused.append(Refused(place, event.code, event.detail))
        else:
            if event.control is not None:
                if event.control == "tick":
                    ticks += 1
                    continue
                void_places.append(place)
            if event.repair is not None:
                repairs[place] = event.repair
            target = partition_of(event.subject)
            if target == reading.partition:
                places.append(place)
            elif place in repairs:
                refused.append(Refused(place, Code.REPAIR_REFUSED_TWICE, _belongs(event.subject, target)))
            else:
                refused.append(Refused(place, Code.MISPLACED, _belongs(event.subject, target), target))
    return _Door(places, refused, repairs, void_places, ticks)


def _told(
    reading: Reading, rejected: frozenset[int], foretold: Mapping[int, Code]
) -> dict[int, tuple[Code, str]]:
    """Refusals that no look at the record could find out, by offset."""
    told = dict.fromkeys(rejected, (Code.STORE_REJECTED, "the database refused a value of this event"))
    if foretold:
        again = (offset for offset in reading.offsets.tolist() if offset in foretold)
        told |= {offset: (foretold[offset], "it was refused when it was counted first") for offset in again}
    return told


def _are_plain(reading: Reading, partition_of: Callable[[str], int]) -> bool:
    """Whether all are live usage events where they belong: the common case, without a branch per record."""
    if set(map(type, reading.events)) != {Event}:
        return False
    events = cast("Sequence[Event]", reading.events)
    subjects = {event.subject for event in events}
    return (
        {event.control for event in events} == {None}
        and {event.repair for event in events} == {None}
        and {partition_of(subject) for subject in subjects} == {reading.partition}
    )


def _belongs(subject: str, partition: int) -> str:
    return f"subject {subject!r} belongs to partition {partition}"


def _untimely(place: int, ahead_us: int, is_repair: bool) -> Refused:  # noqa: FBT001 - a fact, not a mode
    if ahead_us > 0:
        return Refused(place, Code.IN_FUTURE, f"its time is {ahead_us / 1e6:.3f} s ahead of the log")
    code = Code.TOO_OLD_TO_REPAIR if is_repair else Code.TOO_OLD
    return Refused(place, code, f"its time is {-ahead_us / 1e6:.3f} s behind the log")
