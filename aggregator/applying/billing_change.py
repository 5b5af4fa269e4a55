"""What a catalog file changes in plans and subscriptions, and from when.

All changes of one file hold from one instant, so that a plan and its subscriptions, or two subscriptions that
hand a subject over, change together. The first version of a plan or subscription holds from the beginning:
there a subscription's own `start` decides.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from aggregator.applying import catalog_plan
from aggregator.applying.catalog_plan import ChangeKind, Difference
from aggregator.catalog import StoredVersion
from aggregator.rating.terms import PlanVersion, SubscriptionVersion
from schemas.catalog import Meter
from schemas.instant import MINUTE_US
from schemas.plan import Plan
from schemas.subscription import Subscription

Terms: TypeAlias = Plan | Subscription


class Section(StrEnum):
    """A section of a catalog file."""

    METERS = "meters"
    PLANS = "plans"
    SUBSCRIPTIONS = "subscriptions"


class MeterVersion(NamedTuple):
    """A version of a meter, stored or about to be."""

    version: int
    effective_from_us: int | None
    retired: bool
    terms: Meter


@dataclass(frozen=True, slots=True)
class TermsChange:
    """What happens to one plan or subscription; `terms` of one that is retired are those it had."""

    kind: ChangeKind
    section: Section
    name: str
    version: int
    terms: Terms
    effective_from_us: int | None
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class BillingState:
    """The catalog as it is, or would be; of subscriptions those that a change could concern."""

    meters: Mapping[str, Sequence[MeterVersion]]
    plans: Mapping[str, Sequence[PlanVersion]]
    subscriptions: Mapping[str, Sequence[SubscriptionVersion]]
    rated_through_us: Mapping[str, int]  # by subscription: the end of its last rated period


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a file, or a request, asks for; None: it does not speak of that section."""

    meters: Sequence[Meter] | None = None
    plans: Sequence[Plan] | None = None
    subscriptions: Sequence[Subscription] | None = None
    is_whole: bool = True  # what a section does not name is retired


def meter_versions(
    stored: Iterable[StoredVersion], changes: Iterable[catalog_plan.Change] = ()
) -> dict[str, list[MeterVersion]]:
    """The versions of each meter, with those that are about to be."""
    found: dict[str, list[MeterVersion]] = {}
    for one in stored:
        terms = Meter.from_definition(one.definition)
        version = MeterVersion(one.version, one.effective_from_us, one.retired, terms)
        found.setdefault(one.meter, []).append(version)
    for change in changes:
        if change.kind is not ChangeKind.UNCHANGED:
            is_retired = change.kind is ChangeKind.RETIRED
            terms = Meter.from_definition(change.definition)
            version = MeterVersion(change.version, change.effective_from_us, is_retired, terms)
            found.setdefault(change.meter, []).append(version)
    return found


def terms_changes(state: BillingState, wanted: Wanted) -> list[TermsChange]:
    """What would happen to plans and subscriptions; the instant (here None) is still to be chosen."""
    changes: list[TermsChange] = []
    if wanted.plans is not None:
        changes += _changes(Section.PLANS, state.plans, wanted.plans, is_whole=wanted.is_whole)
    if wanted.subscriptions is not None:
        changes += _changes(
            Section.SUBSCRIPTIONS, state.subscriptions, wanted.subscriptions, is_whole=wanted.is_whole
        )
    return changes


def starting(
    changes: Sequence[TermsChange],
    state: BillingState,
    meters: Sequence[catalog_plan.Change],
    frontiers_us: Iterable[int | None],
    effective_from_us: int | None,
) -> int | None:
    """The instant from which all later versions of one file hold; None: from the beginning.

    The earliest one is after every frontier, not before a change of meters in the same file, and on the
    windows of every meter that is charged before or after it.

    Args:
        changes: what `terms_changes` found.
        state: as it is.
        meters: changes of meters that are applied together with them.
        frontiers_us: of every partition, None where there was no record yet.
        effective_from_us: the instant asked for; None for the earliest.
    """
    if effective_from_us is not None:
        return effective_from_us
    frontiers = [frontier for frontier in frontiers_us if frontier is not None]
    if not frontiers:
        return None
    floor_us = max(frontiers) + 1
    effects = [change for change in meters if change.kind is not ChangeKind.UNCHANGED]
    floor_us = max([floor_us, *(us for change in effects if (us := change.effective_from_us) is not None)])
    versions = [version for name in _meters_near(changes, state) for version in state.meters.get(name, ())]
    windows_us = [version.terms.window_us for version in versions]
    windows_us += [Meter.from_definition(change.definition).window_us for change in effects]
    boundary_us = max(windows_us, default=MINUTE_US)  # each window divides every longer one
    return -(-floor_us // boundary_us) * boundary_us


def placed(changes: Iterable[TermsChange], effective_from_us: int | None) -> list[TermsChange]:
    """The changes with their instant; a first version holds from the beginning."""
    return [
        replace(change, effective_from_us=effective_from_us)
        if change.version > 1 and change.kind is not ChangeKind.UNCHANGED
        else change
        for change in changes
    ]


def applied(state: BillingState, changes: Iterable[TermsChange]) -> BillingState:
    """The state as it would be after the changes."""
    plans = {name: [*versions] for name, versions in state.plans.items()}
    subscriptions = dict(state.subscriptions)
    for change in changes:
        if change.kind is ChangeKind.UNCHANGED:
            continue
        head = (0, change.version, change.effective_from_us, change.kind is ChangeKind.RETIRED)
        if isinstance(change.terms, Plan):
            plans.setdefault(change.name, []).append(PlanVersion(*head, change.terms))
        else:
            version = SubscriptionVersion(*head, change.terms)
            subscriptions[change.name] = [*subscriptions.get(change.name, ()), version]
    return replace(state, plans=plans, subscriptions=subscriptions)


def _changes(
    section: Section,
    stored: Mapping[str, Sequence[PlanVersion]] | Mapping[str, Sequence[SubscriptionVersion]],
    wanted: Sequence[Terms],
    *,
    is_whole: bool,
) -> list[TermsChange]:
    by_name = {terms.name: terms for terms in wanted}
    names = stored.keys() | by_name.keys() if is_whole else by_name.keys()
    return [
        change
        for name in sorted(names)
        if (change := _change(section, stored.get(name, ()), by_name.get(name))) is not None
    ]


def _change(
    section: Section, stored: Sequence[PlanVersion | SubscriptionVersion], after: Terms | None
) -> TermsChange | None:
    newest = max(stored, key=lambda one: one.version, default=None)
    before = None if newest is None or newest.retired else newest.terms
    terms = before if after is None else after
    if terms is None:
        return None  # it was retired before
    old = {} if before is None else before.definition()
    new = {} if after is None else after.definition()
    if after is None:
        kind = ChangeKind.RETIRED
    elif before is None:
        kind = ChangeKind.NEW
    else:
        kind = ChangeKind.UNCHANGED if old == new else ChangeKind.CHANGED
    version = 1 if newest is None else newest.version + 1
    differences = () if kind is ChangeKind.UNCHANGED else _differences(old, new)
    return TermsChange(kind, section, terms.name, version, terms, None, differences)


def _differences(before: Mapping[str, object], after: Mapping[str, object]) -> list[Difference]:
    old, new = dict(_leaves("", before)), dict(_leaves("", after))
    fields = [*old, *(field for field in new if field not in old)]
    return [
        Difference(field, old.get(field), new.get(field))
        for field in fields
        if field != "name" and old.get(field) != new.get(field)
    ]


def _leaves(path: str, value: object) -> Iterable[tuple[str, object]]:
    """The parts of a definition that are no objects, by path; a named one in a list goes by its name."""
    match value:
        case dict():
            for key, item in value.items():
                yield from _leaves(f"{path}.{key}" if path else key, item)
        case list() if value and isinstance(value[0], dict):
            for place, item in enumerate(value):
                name = item.get("name", place)
                part = {key: inner for key, inner in item.items() if key != "name"}
                yield from _leaves(f"{path}[{name}]", part)
        case _:
            yield path, value


def _meters_near(changes: Iterable[TermsChange], state: BillingState) -> set[str]:
    """Meters that are charged by plans that change, or by those that subscriptions leave or enter."""
    effects = [change for change in changes if change.kind is not ChangeKind.UNCHANGED]
    wanted = {change.name: change.terms for change in effects if isinstance(change.terms, Plan)}
    names = set(wanted)
    for change in effects:
        if isinstance(change.terms, Subscription):
            names.add(change.terms.plan)
            names |= {version.terms.plan for version in state.subscriptions.get(change.name, ())}
    terms = [*wanted.values(), *(one.terms for name in names for one in state.plans.get(name, ()))]
    return {charge.meter for one in terms for charge in one.metered}
