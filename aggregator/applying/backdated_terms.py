"""Which versions of plans and subscriptions correct what is rated, had a file been applied in time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from aggregator.applying.billing_change import (
    BillingState,
    Section,
    Terms,
    TermsChange,
    Wanted,
    applied,
    meter_versions,
)
from aggregator.applying.billing_plan import Refusal, Touched, refusals
from aggregator.applying.catalog_plan import ChangeKind
from aggregator.catalog import StoredVersion
from aggregator.rating.terms import PlanVersion, Span, SubscriptionVersion, in_force, lifetime

TermsVersion: TypeAlias = PlanVersion | SubscriptionVersion
TermsSpan: TypeAlias = Span[TermsVersion]


@dataclass(frozen=True, slots=True)
class BackdatedTerms:
    """The versions to rate a replay with beside those that there are; only if nothing is refused."""

    changes: Sequence[TermsChange]
    refusals: Sequence[Refusal]


def backdated_terms(
    state: BillingState,
    stored_meters: Sequence[StoredVersion],
    wanted: Wanted,
    from_us: int | None,
    counted_us: int,
) -> BackdatedTerms:
    """What the terms would be had these been applied in time; what a file does not name stays.

    Changes that begin after all that was counted were planned, and stay planned: they follow once more.

    Args:
        state: all plans and subscriptions that there are.
        stored_meters: every version of every meter of the replay.
        wanted: plans and subscriptions that hold from `from_us` on.
        from_us: an event time on the windows' boundaries; None for the beginning.
        counted_us: the greatest frontier.
    """
    changes: list[TermsChange] = []
    unknown = []
    sections: Sequence[tuple[Section, Mapping[str, Sequence[TermsVersion]], Sequence[Terms] | None]] = (
        (Section.PLANS, state.plans, wanted.plans),
        (Section.SUBSCRIPTIONS, state.subscriptions, wanted.subscriptions),
    )
    for section, stored, terms in sections:
        for one in sorted(terms or (), key=lambda one: one.name):
            if one.name in stored:
                changes += _changes(section, stored[one.name], one, from_us, counted_us)
            else:
                unknown.append(_not_applied(section, one.name))
    return BackdatedTerms(changes, [*unknown, *backdating_refusals(state, stored_meters, changes)])


def backdating_refusals(
    state: BillingState, stored_meters: Sequence[StoredVersion], changes: Sequence[TermsChange]
) -> list[Refusal]:
    """Why these versions cannot be the terms of what is rated: the rules of an apply, for all of time.

    And every period that is rated must be one still, with the same bounds: only what it comes to may change.
    """
    before = BillingState(meter_versions(stored_meters), state.plans, state.subscriptions, {})
    after = applied(before, changes)
    names = {section: frozenset(one.name for one in changes if one.section is section) for section in Section}
    touched = Touched(frozenset(), names[Section.PLANS], names[Section.SUBSCRIPTIONS])
    found = refusals(before, after, touched)
    for name in sorted(touched.subscriptions):
        if lifetime(before.subscriptions[name]) != lifetime(after.subscriptions[name]):
            sentence = "its end would move, and with it what its periods are: `end` is set by an apply alone"
            found.append(Refusal("lifetime_changed", Section.SUBSCRIPTIONS, name, sentence))
    return found


def _changes(
    section: Section,
    stored: Sequence[TermsVersion],
    terms: Terms,
    from_us: int | None,
    counted_us: int,
) -> Iterator[TermsChange]:
    if not _differs(in_force(stored), terms, from_us, counted_us):
        return
    version = max(one.version for one in stored) + 1
    yield TermsChange(ChangeKind.CHANGED, section, terms.name, version, terms, from_us, ())
    holding: Terms | None = terms
    for start_us, planned in _beginnings(stored):
        is_same = (holding and holding.definition()) == (planned and planned.definition())
        if start_us <= counted_us or (from_us is not None and start_us <= from_us) or is_same:
            continue
        version += 1
        kind = ChangeKind.RETIRED if planned is None else ChangeKind.CHANGED
        repeated = planned or holding or terms
        yield TermsChange(kind, section, terms.name, version, repeated, start_us, ())
        holding = planned


def _differs(spans: Sequence[TermsSpan], terms: Terms, from_us: int | None, counted_us: int) -> bool:
    """Whether anything else than these terms holds at some time from an instant on, as far as was counted."""
    if from_us is not None and from_us > counted_us:
        return False
    reached_us = from_us  # up to where these terms hold
    definition = terms.definition()
    for span in spans:
        if from_us is not None and span.end_us is not None and span.end_us <= from_us:
            continue
        begins_later = span.start_us is not None and (reached_us is None or span.start_us > reached_us)
        if begins_later or span.version.terms.definition() != definition:
            break
        if span.end_us is None:
            return False
        reached_us = span.end_us
    return reached_us is None or reached_us <= counted_us


def _beginnings(stored: Sequence[TermsVersion]) -> Sequence[tuple[int, Terms | None]]:
    """From when which terms hold, in order of time, but for those from the beginning; None: none do."""
    found: list[tuple[int, Terms | None]] = []
    for one in sorted(stored, key=lambda one: one.version, reverse=True):
        start_us = one.effective_from_us
        if start_us is None:
            break
        if not found or start_us < found[-1][0]:
            found.append((start_us, None if one.retired else one.terms))
    return found[::-1]


def _not_applied(section: Section, name: str) -> Refusal:
    sentence = "nothing is rated by it yet, so no replay is needed: apply it with `metering catalog apply`"
    return Refusal("terms_not_applied", section, name, sentence)
