"""The oracle: a plain loop over one partition's events, a row per id, and nothing of the code under test.

It says the rules of docs/architecture.md as directly as Python can, without any care for speed.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

HOUR_US = 3_600_000_000
SUBTRACTABLE = {"sum", "count", "gauge"}


@dataclass(frozen=True)
class SpokenEvent:
    """An event as a test speaks of it, before it is bytes."""

    source: str
    id: str
    type: str
    subject: str
    time_us: int
    data: Mapping[str, Any]

    @property
    def identity(self) -> tuple[str, str]:
        return self.source, self.id

    @property
    def content(self) -> tuple[object, ...]:
        return self.type, self.subject, self.time_us, repr(dict(self.data))


@dataclass(frozen=True)
class LoggedEvent:
    """One offset of the log. `event` is None for bytes that are no event; `is_void` if it withdraws that."""

    offset: int
    timestamp_us: int
    event: SpokenEvent | None
    is_tick: bool = False
    is_repair: bool = False
    repaired_meter: str | None = None
    is_void: bool = False


@dataclass(frozen=True)
class SpokenMeter:
    name: str
    event_type: str
    aggregation: str
    value: str | None
    group_by: tuple[str, ...]
    window_us: int
    grace_us: int
    cardinality_limit: int = 1000
    where: Mapping[str, str] = field(default_factory=dict)
    from_us: int = 0  # one version of it counts events of these times
    until_us: int = 2**63


@dataclass
class Recount:
    """What the loop found."""

    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    meter_outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    windows: dict[tuple[str, str, Any, int], list[tuple[int, int, Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    adjustments: list[tuple[int, str, str, Any, int, Any]] = field(default_factory=list)
    voids: list[tuple[int, str, str, Any, int, Any]] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)
    """Of what was compared with earlier events, whatever came of that."""
    ids_by_hour: Counter[int] = field(default_factory=Counter)
    unmetered: int = 0
    accepted: list[tuple[int, LoggedEvent]] = field(default_factory=list)
    """What counts, each with the frontier that it was counted at."""


def recount(  # noqa: C901, PLR0912, PLR0915 - one plain loop is the point
    log: Iterable[LoggedEvent],
    meters: Iterable[SpokenMeter],
    *,
    partition: int,
    partition_of: Callable[[str], int],
    acceptance_window_us: int,
    skew_us: int,
    repair_horizon_us: int,
) -> Recount:
    found = Recount()
    meters = list(meters)
    frontier = None
    accepted: dict[tuple[str, ...], list[tuple[int, tuple[object, ...]]]] = defaultdict(list)
    groups_seen: dict[tuple[str, str, int], list[tuple[str | None, ...]]] = defaultdict(list)
    for logged in log:
        frontier = logged.timestamp_us if frontier is None else max(frontier, logged.timestamp_us)
        event = logged.event
        if logged.is_tick:
            found.outcomes["tick"] += 1
            continue
        if event is None:
            found.outcomes["quarantined"] += 1
            continue
        if partition_of(event.subject) != partition:
            found.outcomes["quarantined"] += 1
            found.codes["repair_refused_twice" if logged.is_repair else "misplaced"] += 1
            continue
        reach = repair_horizon_us if logged.is_repair else acceptance_window_us
        if event.time_us < frontier - reach:
            found.outcomes["quarantined"] += 1
            found.codes["too_old_to_repair" if logged.is_repair else "too_old"] += 1
            continue
        if event.time_us > frontier + skew_us:
            found.outcomes["quarantined"] += 1
            found.codes["in_future"] += 1
            continue
        found.sources.add(event.source)
        hour = event.time_us // HOUR_US
        identity = (
            event.identity if logged.repaired_meter is None else (*event.identity, logged.repaired_meter)
        )
        visible = [
            content
            for known_hour, content in accepted[identity]
            if (known_hour + 1) * HOUR_US + acceptance_window_us > frontier
            or (logged.is_repair and known_hour == hour)
        ]
        if logged.is_void:
            derived = ("void", *identity)
            withdrawn = [
                content
                for known_hour, content in accepted[derived]
                if (known_hour + 1) * HOUR_US + acceptance_window_us > frontier
                or (logged.is_repair and known_hour == hour)
            ]
            if event.content in withdrawn:
                found.outcomes["duplicate"] += 1
                continue
            if event.content not in visible:
                found.outcomes["quarantined"] += 1
                found.codes["void_differs" if visible else "void_unmatched"] += 1
                continue
            identity = derived
        elif event.content in visible:
            found.outcomes["duplicate"] += 1
            continue
        elif visible:
            found.outcomes["conflict"] += 1
            found.codes["conflict"] += 1
            continue
        found.outcomes["accepted"] += 1
        found.ids_by_hour[hour] += 1
        found.accepted.append((frontier, logged))
        accepted[identity].append((hour, event.content))
        matched = False
        for meter in meters:
            if logged.repaired_meter is not None and meter.name != logged.repaired_meter:
                continue
            if logged.repaired_meter is None and meter.event_type != event.type:
                continue
            if not meter.from_us <= event.time_us < meter.until_us:
                continue
            if any(str(event.data.get(path)) != value for path, value in meter.where.items()):
                continue
            matched = True
            value: Any = None
            if meter.aggregation == "unique":
                value = event.data.get(meter.value)
            elif meter.aggregation != "count":
                value = event.data.get(meter.value)
                value = Decimal(str(value)) if isinstance(value, int | str) else value
            groups = tuple(event.data.get(path) for path in meter.group_by)
            if meter.aggregation != "count" and value is None:
                found.meter_outcomes[meter.name, "meter_error"] += 1
                continue
            start = event.time_us // meter.window_us * meter.window_us
            key: Any = groups
            if logged.is_void:
                if meter.aggregation not in SUBTRACTABLE:
                    found.meter_outcomes[meter.name, "meter_error"] += 1
                    continue
                if meter.group_by and groups not in groups_seen[meter.name, event.subject, start]:
                    key = "other"
                found.meter_outcomes[meter.name, "void"] += 1
                found.voids.append((logged.offset, meter.name, event.subject, key, start, value))
                continue
            if meter.group_by:
                seen = groups_seen[meter.name, event.subject, start]
                if groups not in seen:
                    if len(seen) < meter.cardinality_limit:
                        seen.append(groups)
                    else:
                        key = "other"
            if frontier >= start + meter.window_us + meter.grace_us:
                found.meter_outcomes[meter.name, "adjustment"] += 1
                found.adjustments.append((logged.offset, meter.name, event.subject, key, start, value))
            else:
                found.meter_outcomes[meter.name, "increment"] += 1
                found.windows[meter.name, event.subject, key, start].append(
                    (event.time_us, logged.offset, value)
                )
        found.unmetered += not matched
    return found


def window_value(meter: SpokenMeter, points: list[tuple[int, int, Any]]) -> Any:
    """The value of a window from all its points (time, offset, value)."""
    values = [value for _, _, value in points]
    match meter.aggregation:
        case "sum":
            return sum(values, Decimal(0))
        case "count":
            return len(values)
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "last" | "gauge":
            return max(points)[2] if points else None  # of a gauge all may be withdrawn
        case "unique":
            return frozenset(values)
    raise AssertionError(meter.aggregation)
