"""What applying a catalog file would do to meters, plans and subscriptions together, and why it may not."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from aggregator.applying import catalog_plan
from aggregator.applying.billing_change import (
    BillingState,
    Section,
    TermsChange,
    Wanted,
    applied,
    meter_versions,
    placed,
    starting,
    terms_changes,
)
from aggregator.applying.catalog_plan import ChangeKind
from aggregator.applying.plan_rules import MeterSpans, misfits
from aggregator.applying.subscription_rules import Fault, SubscriptionRules
from aggregator.catalog import StoredVersion
from aggregator.rating.terms import PlanVersion, in_force
from aggregator.state import TopicRules
from schemas.instant import format_time, parse_time_us
from schemas.subscription import LAST_YEAR

_CALENDARS_END_US: Final = parse_time_us(f"{LAST_YEAR + 1}-01-01T00:00:00Z")


class Refusal(NamedTuple):
    """Why something in the file cannot be applied as asked."""

    code: str
    section: Section
    name: str
    sentence: str


@dataclass(frozen=True, slots=True)
class BillingPlan:
    """Every change; apply them only if nothing is refused."""

    meters: Sequence[catalog_plan.Change]
    terms: Sequence[TermsChange]
    refusals: Sequence[Refusal]

    @property
    def meter_effects(self) -> list[catalog_plan.Change]:
        """Changes that make a new version of a meter."""
        return [change for change in self.meters if change.kind is not ChangeKind.UNCHANGED]

    @property
    def effects(self) -> list[TermsChange]:
        """Changes that make a new version of a plan or subscription."""
        return [change for change in self.terms if change.kind is not ChangeKind.UNCHANGED]


@dataclass(frozen=True, slots=True)
class Touched:
    """The names of what changes."""

    meters: frozenset[str]
    plans: frozenset[str]
    subscriptions: frozenset[str]


def plan(
    state: BillingState,
    stored_meters: Sequence[StoredVersion],
    wanted: Wanted,
    frontiers_us: Iterable[int | None],
    rules: TopicRules | None = None,
    effective_from_us: int | None = None,
) -> BillingPlan:
    """Compare what is wanted with what is stored.

    Args:
        state: plans and subscriptions as they are, at least those that a change concerns; no meters.
        stored_meters: every version of every meter.
        wanted: what the file asks for.
        frontiers_us: of every partition, None where there was no record yet.
        rules: of the topic, which changes of meters are judged by.
        effective_from_us: the instant asked for; None for the earliest one allowed.
    """
    frontiers = [*frontiers_us]
    state = replace(state, meters=meter_versions(stored_meters))
    changes = terms_changes(state, wanted)
    meters = _meters(stored_meters, wanted, frontiers, rules, effective_from_us)
    start_us = starting(changes, state, meters.changes, frontiers, effective_from_us)
    if start_us is not None and meters.effects and any(_is_later(change) for change in changes):
        meters = _meters(stored_meters, wanted, frontiers, rules, start_us)
    changes = placed(changes, start_us)
    too_late = [*_too_late(changes)]
    if too_late:
        return BillingPlan(meters.changes, changes, too_late)
    after = applied(replace(state, meters=meter_versions(stored_meters, meters.changes)), changes)
    refused = [
        *(Refusal(error.code, Section.METERS, error.meter, error.sentence) for error in meters.errors),
        *refusals(state, after, _touched(meters, changes)),
    ]
    return BillingPlan(meters.changes, changes, refused)


def concerned_plans(
    plans: Mapping[str, Sequence[PlanVersion]], stored_meters: Sequence[StoredVersion], wanted: Wanted
) -> set[str]:
    """The plans that a file changes, or that charge by a meter that it changes.

    Whoever calls `plan` needs to know the subscriptions that were ever on them.
    """
    state = BillingState({}, plans, {}, {})
    changes = terms_changes(state, replace(wanted, subscriptions=None))
    names = {change.name for change in changes if change.kind is not ChangeKind.UNCHANGED}
    if wanted.meters is not None:
        meters = catalog_plan.changed_meters(stored_meters, wanted.meters)
        names |= _charging(plans, meters)
    return names


def _meters(
    stored: Sequence[StoredVersion],
    wanted: Wanted,
    frontiers: Sequence[int | None],
    rules: TopicRules | None,
    effective_from_us: int | None,
) -> catalog_plan.Plan:
    if wanted.meters is None:
        return catalog_plan.Plan([], [])
    if rules is None:
        raise ValueError("changes of meters are judged by the topic's rules")
    return catalog_plan.plan(stored, wanted.meters, frontiers, rules, effective_from_us)


def _too_late(changes: Iterable[TermsChange]) -> Iterator[Refusal]:
    """Of what would hold from where calendars end."""
    for change in changes:
        if change.effective_from_us is not None and change.effective_from_us >= _CALENDARS_END_US:
            sentence = f"choose an instant before {format_time(_CALENDARS_END_US)}"
            yield Refusal("effective_from_too_late", change.section, change.name, sentence)


def _is_later(change: TermsChange) -> bool:
    return change.kind is not ChangeKind.UNCHANGED and change.version > 1


def _touched(meters: catalog_plan.Plan, changes: Sequence[TermsChange]) -> Touched:
    effects = [change for change in changes if change.kind is not ChangeKind.UNCHANGED]
    return Touched(
        frozenset(change.meter for change in meters.effects),
        frozenset(change.name for change in effects if change.section is Section.PLANS),
        frozenset(change.name for change in effects if change.section is Section.SUBSCRIPTIONS),
    )


def _charging(plans: Mapping[str, Sequence[PlanVersion]], meters: Iterable[str]) -> set[str]:
    wanted = set(meters)
    return {
        name
        for name, versions in plans.items()
        if any(charge.meter in wanted for version in versions for charge in version.terms.metered)
    }


def refusals(before: BillingState, after: BillingState, touched: Touched) -> list[Refusal]:
    """Why one state of the catalog may not follow another, in what the changes touch."""
    spans = {name: in_force(versions) for name, versions in after.meters.items()}
    plans = touched.plans | _charging(after.plans, touched.meters)
    concerned = [
        name
        for name, versions in sorted(after.subscriptions.items())
        if name in touched.subscriptions or any(version.terms.plan in plans for version in versions)
    ]
    rules = SubscriptionRules(before, after, spans)
    faults = [*(fault for name in concerned for fault in rules.faults(name)), *rules.charged_twice(concerned)]
    found = [
        *_misfit_refusals(after, spans, plans, touched),
        *(_blamed(fault, after, touched) for fault in faults),
    ]
    distinct: dict[tuple[str, ...], Refusal] = {}
    for one in found:
        # Of what a plan or a meter does to its subscriptions one example is enough.
        sentence = one.sentence if one.section is Section.SUBSCRIPTIONS else ""
        distinct.setdefault((one.code, one.section, one.name, sentence), one)
    order = list(Section)
    return sorted(distinct.values(), key=lambda one: (order.index(one.section), one.name))


def _misfit_refusals(
    after: BillingState, spans: MeterSpans, plans: Iterable[str], touched: Touched
) -> Iterator[Refusal]:
    for name in sorted(plans):
        for span in in_force(after.plans.get(name, ())):
            for misfit in misfits(span, spans):
                if name in touched.plans:
                    yield Refusal(misfit.code, Section.PLANS, name, misfit.sentence)
                elif misfit.meter in touched.meters:
                    sentence = f"plan `{name}` would break: {misfit.sentence}"
                    yield Refusal("breaks_plan", Section.METERS, misfit.meter, sentence)


def _blamed(fault: Fault, after: BillingState, touched: Touched) -> Refusal:
    """The refusal of what the file changes: the subscription itself, else its plan, else a meter of that."""
    name, sentence = fault.subscription, fault.sentence
    if name in touched.subscriptions:
        return Refusal(fault.code, Section.SUBSCRIPTIONS, name, sentence)
    plans = [fault.plan] if fault.plan else [version.terms.plan for version in after.subscriptions[name]]
    sentence = f"subscription `{name}`: {sentence}"
    changed = next((plan for plan in plans if plan in touched.plans), None)
    if changed is not None:
        return Refusal(fault.code, Section.PLANS, changed, sentence)
    versions = [version for plan in plans for version in after.plans.get(plan, ())]
    meters = {charge.meter for version in versions for charge in version.terms.metered} & touched.meters
    if meters:
        return Refusal("breaks_plan", Section.METERS, min(meters), sentence)
    return Refusal(fault.code, Section.SUBSCRIPTIONS, name, fault.sentence)
