"""What a subscription must keep to: what is rated stays, and its periods are made of whole windows."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from aggregator.applying.billing_change import BillingState
from aggregator.applying.plan_rules import MeterSpans
from aggregator.rating.alignment import first_off_windows
from aggregator.rating.calendar import Calendar
from aggregator.rating.terms import (
    PlanVersion,
    Span,
    Stretch,
    SubscriptionVersion,
    in_force,
    lifetime,
    stretches,
)
from schemas.catalog import format_duration
from schemas.instant import SECOND_US, format_time
from schemas.price import MeteredCharge
from schemas.subscription import FIXED_FIELDS


class Fault(NamedTuple):
    """What is wrong with a subscription; `plan` is the one it has it from, if it has it from one."""

    code: str
    subscription: str
    plan: str | None
    sentence: str


class _Charged(NamedTuple):
    """Windows of a meter that a plan charges for, and when it has them."""

    meter: str
    window_us: int
    start_us: int | None
    end_us: int | None


class _Taken(NamedTuple):
    """A time in which a subscription pays for some meters of a subject."""

    start_us: int
    end_us: int | None
    subscription: str
    plan: str
    meters: frozenset[str]


class SubscriptionRules:
    """The rules, on one state of the catalog that is to follow another."""

    def __init__(self, before: BillingState, after: BillingState, meters: MeterSpans) -> None:
        self._before = before
        self._after = after
        self._meters = meters
        self._plans = {name: in_force(versions) for name, versions in after.plans.items()}
        self._plans_before = {name: in_force(versions) for name, versions in before.plans.items()}
        self._charged: dict[tuple[str, int], list[_Charged]] = {}

    def faults(self, name: str) -> Iterator[Fault]:
        """Everything that is wrong with one subscription, by itself."""
        before, after = self._before.subscriptions.get(name, ()), self._after.subscriptions[name]
        found = stretches(after, self._plans)
        if before:
            was = stretches(before, self._plans_before)
            yield from _fixed_fields(before, after)
            yield from self._rated_faults(name, was, found)
            yield from _currencies(name, [*was, *found])
        else:
            yield from _currencies(name, found)
        yield from self._gaps(after, found)
        rated_us = self._rated_us(name)
        for stretch in found:
            yield from _thresholds(stretch)
            if rated_us is None or stretch.end_us is None or stretch.end_us > rated_us:
                yield from self._window_faults(stretch, rated_us)

    def charged_twice(self, names: Iterable[str]) -> Iterator[Fault]:
        """Pairs of subscriptions that pay for one subject's meter at one time, one of them among `names`."""
        concerned, told = set(names), set()
        for subject, sharing in self._by_subject.items():
            if len(sharing) > 1 and not sharing.isdisjoint(concerned):
                taken = [one for name in sorted(sharing) for one in self._taken(name, subject)]
                for ours, theirs, fault in _collisions(subject, taken, concerned):
                    if (ours, theirs) not in told:
                        told.add((ours, theirs))
                        yield fault

    @cached_property
    def _by_subject(self) -> Mapping[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for name, versions in self._after.subscriptions.items():
            for version in versions:
                for subject in version.terms.subjects:
                    found[subject].add(name)
        return found

    def _taken(self, name: str, subject: str) -> Iterator[_Taken]:
        for stretch in stretches(self._after.subscriptions[name], self._plans):
            if subject in stretch.subscription.terms.subjects:
                plan = stretch.plan.terms
                meters = frozenset(charge.meter for charge in plan.metered)
                yield _Taken(stretch.start_us, stretch.end_us, name, plan.name, meters)

    def _rated_faults(self, name: str, was: Sequence[Stretch], found: Sequence[Stretch]) -> Iterator[Fault]:
        rated_us = self._rated_us(name)
        if rated_us is None:
            return
        _, end_us = lifetime(self._before.subscriptions[name])
        if end_us == rated_us and lifetime(self._after.subscriptions[name])[1] != end_us:
            sentence = f"it is rated to its end, {format_time(end_us)}: name a new subscription"
            yield Fault("subscription_ended", name, None, sentence)
        rated = _until(rated_us, was)
        if rated != _until(rated_us, found):
            sentence = (
                f"its usage until {format_time(rated_us)} is in rated totals, which never change: let no "
                "change and no end come earlier"
            )
            yield Fault("changes_rated_period", name, _changed_plan(rated, found, rated_us), sentence)

    def _rated_us(self, name: str) -> int | None:
        """Up to where it is rated: its end at most."""
        rated_us = self._before.rated_through_us.get(name)
        versions = self._before.subscriptions.get(name)
        return rated_us if rated_us is None or not versions else _earliest(rated_us, lifetime(versions)[1])

    def _gaps(self, versions: Sequence[SubscriptionVersion], found: Sequence[Stretch]) -> Iterator[Fault]:
        """Times of its life in which nothing says what it costs."""
        start_us, end_us = lifetime(versions)
        starts_us = [*(stretch.start_us for stretch in found), end_us]
        ends_us = [start_us, *(stretch.end_us for stretch in found)]
        for gap_us, next_us in zip(ends_us, starts_us, strict=True):
            if gap_us is not None and gap_us != next_us:
                yield self._gap(versions, gap_us)

    def _gap(self, versions: Sequence[SubscriptionVersion], gap_us: int) -> Fault:
        name = versions[0].terms.name
        version = _at(in_force(versions), gap_us)
        since = format_time(gap_us)
        if version is None:
            sentence = f"it was retired from {since}: take it back from that instant, or name a new one"
            return Fault("subscription_interrupted", name, None, sentence)
        plan = version.terms.plan
        if not self._after.plans.get(plan):
            return Fault("unknown_plan", name, None, f"there is no plan `{plan}`: add it, or correct `plan`")
        sentence = f"plan `{plan}` is retired from {since}: choose another plan from then on"
        return Fault("plan_retired", name, plan, sentence)

    def _window_faults(self, stretch: Stretch, rated_us: int | None) -> Iterator[Fault]:
        subscription, plan = stretch.subscription.terms, stretch.plan.terms
        calendar = Calendar.of(subscription)
        for charged in self._charged_windows(stretch.plan):
            start_us = _latest(stretch.start_us, charged.start_us, rated_us)
            end_us = _earliest(stretch.end_us, charged.end_us)
            if end_us is not None and end_us <= start_us:
                continue
            windows = f"the {format_duration(charged.window_us // SECOND_US)} windows of `{charged.meter}`"
            edges = [us for us in (start_us, end_us) if us is not None and us % charged.window_us]
            for edge_us in edges:
                code, what = _edge(stretch, edge_us)
                yield Fault(code, subscription.name, plan.name, f"{what} is inside one of {windows}")
            off_us = first_off_windows(calendar, charged.window_us, start_us, end_us)
            if off_us is not None and not edges:
                sentence = (
                    f"the {subscription.billing_period} of {subscription.timezone} that begins at "
                    f"{format_time(off_us)} does so inside one of {windows}: choose another anchor, zone or "
                    "billing period, or shorter windows"
                )
                yield Fault("window_does_not_divide", subscription.name, plan.name, sentence)

    def _charged_windows(self, plan: PlanVersion) -> list[_Charged]:
        key = (plan.terms.name, plan.version)
        found = self._charged.get(key)
        if found is None:
            distinct: dict[tuple[int, int | None, int | None], _Charged] = {}
            for charge in plan.terms.metered:
                for span in self._meters.get(charge.meter, ()):
                    one = _Charged(charge.meter, span.version.terms.window_us, span.start_us, span.end_us)
                    distinct.setdefault(one[1:], one)
            found = self._charged[key] = list(distinct.values())
        return found


def _fixed_fields(
    before: Sequence[SubscriptionVersion], after: Sequence[SubscriptionVersion]
) -> Iterator[Fault]:
    old, new = (max(versions, key=lambda one: one.version).terms for versions in (before, after))
    if old is new:
        return
    was, would_be = old.definition(), new.definition()
    changed = [field for field in FIXED_FIELDS if was[field] != would_be[field]]
    if "anchor" in changed and new.anchor is None and len(changed) > 1:
        changed.remove("anchor")  # it only follows the start and the zone
    for field in changed:
        sentence = f"`{field}` is fixed for its life: end this subscription, and name a new one"
        yield Fault("fixed_field_changed", new.name, None, sentence)


def _currencies(name: str, found: Sequence[Stretch]) -> Iterator[Fault]:
    for earlier, later in pairwise(found):
        old, new = earlier.plan.terms, later.plan.terms
        if old.currency != new.currency:
            sentence = (
                f"it is billed in {old.currency} and would be in {new.currency}: a subscription has one "
                "currency; end it, and name a new one"
            )
            yield Fault("currency_differs", name, new.name, sentence)


def _thresholds(stretch: Stretch) -> Iterator[Fault]:
    subscription, plan = stretch.subscription.terms, stretch.plan.terms
    charges = {charge.name: charge for charge in plan.charges}
    for threshold in subscription.thresholds:
        if threshold.charge is None:
            continue
        charge = charges.get(threshold.charge)
        if charge is None:
            sentence = f"its threshold `{threshold.text}` names a charge that plan `{plan.name}` has not"
            yield Fault("unknown_charge", subscription.name, plan.name, sentence)
        elif not isinstance(charge, MeteredCharge) or not charge.included:
            sentence = (
                f"its threshold `{threshold.text}` is a share of nothing: charge `{charge.name}` of plan "
                f"`{plan.name}` includes no quantity"
            )
            yield Fault("nothing_included", subscription.name, plan.name, sentence)


def _collisions(
    subject: str, taken: Sequence[_Taken], concerned: set[str]
) -> Iterator[tuple[str, str, Fault]]:
    lasting: list[_Taken] = []
    for one in sorted(taken, key=lambda one: one.start_us):
        lasting = [other for other in lasting if other.end_us is None or other.end_us > one.start_us]
        for other in lasting:
            meters = one.meters & other.meters
            if meters and one.subscription != other.subscription:
                ours, theirs = (one, other) if one.subscription in concerned else (other, one)
                sentence = (
                    f"subject `{subject}` would be charged for `{min(meters)}` by subscription "
                    f"`{theirs.subscription}` too, from {format_time(one.start_us)}: end one of them before"
                )
                fault = Fault("already_charged", ours.subscription, ours.plan, sentence)
                yield ours.subscription, theirs.subscription, fault
        lasting.append(one)


def _until(rated_us: int, found: Iterable[Stretch]) -> list[tuple[object, ...]]:
    """What is rated of some stretches, by what names it: versions that are still to be stored have no id."""
    return [
        (
            stretch.start_us,
            _earliest(stretch.end_us, rated_us),
            stretch.subscription.version,
            stretch.plan.terms.name,
            stretch.plan.version,
        )
        for stretch in found
        if stretch.start_us < rated_us
    ]


def _changed_plan(was: Sequence[tuple[object, ...]], found: Sequence[Stretch], rated_us: int) -> str | None:
    """The plan whose new version reaches into what is rated."""
    known = {one[3:] for one in was}
    return next(
        (
            stretch.plan.terms.name
            for stretch in found
            if stretch.start_us < rated_us and (stretch.plan.terms.name, stretch.plan.version) not in known
        ),
        None,
    )


def _edge(stretch: Stretch, edge_us: int) -> tuple[str, str]:
    subscription = stretch.subscription.terms
    if edge_us == subscription.start_us:
        return "window_does_not_divide", f"its start {format_time(edge_us)}"
    if edge_us == subscription.end_us:
        return "window_does_not_divide", f"its end {format_time(edge_us)}"
    return "effective_from_not_aligned", f"{format_time(edge_us)}, from which the change would hold,"


def _at(spans: Iterable[Span[SubscriptionVersion]], instant_us: int) -> SubscriptionVersion | None:
    for span in spans:
        if (span.start_us is None or span.start_us <= instant_us) and (
            span.end_us is None or instant_us < span.end_us
        ):
            return span.version
    return None


def _latest(start_us: int, *others_us: int | None) -> int:
    return max(us for us in (start_us, *others_us) if us is not None)


def _earliest(*ends_us: int | None) -> int | None:
    return min((us for us in ends_us if us is not None), default=None)
