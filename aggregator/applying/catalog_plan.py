"""What applying a catalog file would change, and from when: the past of a counted log is never touched."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from aggregator.catalog import StoredVersion
from aggregator.state import TopicRules
from schemas.catalog import Meter


class ChangeKind(StrEnum):
    """What happens to a meter."""

    NEW = "new"
    CHANGED = "changed"
    RETIRED = "retired"
    UNCHANGED = "unchanged"


class Difference(NamedTuple):
    """One field of a meter's definition, before and after; None where it is not set."""

    field: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one meter; `effective_from_us` None means from the beginning."""

    kind: ChangeKind
    meter: str
    version: int
    definition: Mapping[str, object]
    effective_from_us: int | None
    differences: Sequence[Difference]


class PlanError(NamedTuple):
    """Why a meter cannot be applied as asked."""

    code: str
    meter: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes in the order of meter names; apply them only if there are no errors."""

    changes: Sequence[Change]
    errors: Sequence[PlanError]

    @property
    def effects(self) -> list[Change]:
        """Changes that make a new version."""
        return [change for change in self.changes if change.kind is not ChangeKind.UNCHANGED]


def plan(
    stored: Sequence[StoredVersion],
    meters: Iterable[Meter],
    frontiers_us: Iterable[int | None],
    rules: TopicRules,
    effective_from_us: int | None = None,
) -> Plan:
    """Compare a catalog file with the stored versions.

    A change takes effect later than any event counted so far: `effective_from > max(frontier) + skew`, on a
    boundary of the meter's old and new windows; before the first record, from the beginning.

    Args:
        stored: every version there is.
        meters: those the file names; a stored meter that it does not name is retired.
        frontiers_us: of every partition, None where there was no record yet.
        rules: of the topic.
        effective_from_us: the instant asked for; None for the earliest one allowed.
    """
    frontiers = [frontier for frontier in frontiers_us if frontier is not None]
    floor_us = max(frontiers) + rules.skew_us if frontiers else None
    latest = {version.meter: version for version in sorted(stored, key=lambda v: v.version)}
    wanted = {meter.name: meter for meter in meters}
    changes: list[Change] = []
    errors: list[PlanError] = []
    for name in sorted(latest.keys() | wanted.keys()):
        change = _change(name, latest.get(name), wanted.get(name))
        if change.kind is not ChangeKind.UNCHANGED:
            boundary_us = max(_windows_us(latest.get(name), wanted.get(name)))
            start_us = effective_from_us
            if start_us is None and floor_us is not None:
                start_us = (floor_us // boundary_us + 1) * boundary_us
            errors += _timing_errors(name, start_us, floor_us, boundary_us, latest.get(name))
            change = Change(
                change.kind, name, change.version, change.definition, start_us, change.differences
            )
        errors += _meter_errors(wanted.get(name), rules)
        changes.append(change)
    return Plan(changes, errors)


def is_ahead(changes: Iterable[Change], frontiers_us: Iterable[int | None], rules: TopicRules) -> bool:
    """Whether no event of the time from which changes hold can have been counted yet."""
    frontiers = [frontier for frontier in frontiers_us if frontier is not None]
    floor_us = max(frontiers) + rules.skew_us if frontiers else None
    return floor_us is None or all(
        change.effective_from_us is not None and change.effective_from_us > floor_us for change in changes
    )


def changed_meters(stored: Sequence[StoredVersion], meters: Iterable[Meter]) -> set[str]:
    """The names of meters that a file would change, wherever it is to hold from."""
    latest = {version.meter: version for version in sorted(stored, key=lambda v: v.version)}
    wanted = {meter.name: meter for meter in meters}
    changes = (_change(name, latest.get(name), wanted.get(name)) for name in latest.keys() | wanted.keys())
    return {change.meter for change in changes if change.kind is not ChangeKind.UNCHANGED}


def _change(name: str, before: StoredVersion | None, after: Meter | None) -> Change:
    version = 1 if before is None else before.version + 1
    old = {} if before is None or before.retired else before.definition
    if after is None:
        kind = ChangeKind.RETIRED if old else ChangeKind.UNCHANGED
        definition = {} if before is None else before.definition
        return Change(kind, name, version, definition, None, _differences(old, {}))
    new = after.definition()
    differences = _differences(old, new)
    kind = ChangeKind.NEW if not old else ChangeKind.CHANGED if differences else ChangeKind.UNCHANGED
    return Change(kind, name, version, new, None, differences)


def _differences(before: Mapping[str, object], after: Mapping[str, object]) -> list[Difference]:
    fields = [*before, *(field for field in after if field not in before)]
    return [
        Difference(field, before.get(field), after.get(field))
        for field in fields
        if before.get(field) != after.get(field)
    ]


def _windows_us(before: StoredVersion | None, after: Meter | None) -> list[int]:
    windows_us = [] if before is None else [Meter.from_definition(before.definition).window_us]
    return windows_us if after is None else [*windows_us, after.window_us]


def _timing_errors(
    name: str, start_us: int | None, floor_us: int | None, boundary_us: int, before: StoredVersion | None
) -> list[PlanError]:
    errors = []
    if start_us is not None and start_us % boundary_us:
        sentence = f"choose an instant on a boundary of its windows of {boundary_us // 1_000_000} s"
        errors.append(PlanError("effective_from_not_aligned", name, sentence))
    if start_us is not None and floor_us is not None and start_us <= floor_us:
        sentence = "events of that time may be counted already; choose a later instant, or replay the log"
        errors.append(PlanError("effective_from_too_early", name, sentence))
    last_us = None if before is None else before.effective_from_us
    if last_us is not None and (start_us is None or start_us < last_us):
        sentence = "its last version takes effect later than that; choose a later instant"
        errors.append(PlanError("effective_from_before_last_version", name, sentence))
    return errors


def _meter_errors(meter: Meter | None, rules: TopicRules) -> list[PlanError]:
    if meter is None or meter.window_us + meter.grace_us <= rules.acceptance_window_us:
        return []
    hours = rules.acceptance_window_us / 3_600_000_000
    sentence = (
        f"window and grace together exceed the topic's acceptance window of {hours:g} h; shorten the grace"
    )
    return [PlanError("grace_too_long", meter.name, sentence)]
