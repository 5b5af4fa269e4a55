"""What was known of terms when: a version that was promoted is known to cuts after its promotion alone.

So what was rated before stays as it was, whoever rates it again however late, and the next cut knows better.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from aggregator.rating.terms import PlanVersion, Span, Stretch, SubscriptionVersion, in_force, stretches


class Era(NamedTuple):
    """A subscription's terms as cuts know them that lie after a log time, up to the next era's."""

    since_us: int | None  # None: from the first cut on
    stretches: Sequence[Stretch]


def eras(
    versions: Sequence[SubscriptionVersion],
    plans: Mapping[str, Sequence[Span[PlanVersion]]],
    promoted: Mapping[str, Sequence[PlanVersion]],
) -> tuple[Era, ...]:
    """The eras of one subscription, in order; the last knows everything.

    Args:
        versions: of the subscription, all of them.
        plans: when the versions of each plan hold, by all that is known.
        promoted: all versions of each plan of which some were promoted.
    """
    named = {version.terms.plan for version in versions}
    histories = {name: promoted[name] for name in named if name in promoted}
    known_from_us = {one.known_from_us for one in versions}
    known_from_us |= {one.known_from_us for history in histories.values() for one in history}
    instants_us = sorted(us for us in known_from_us if us is not None)
    if not instants_us:
        return (Era(None, stretches(versions, plans)),)
    found = []
    for since_us in (None, *instants_us):
        spans = {name: plans.get(name, ()) for name in named}
        spans |= {
            name: in_force(one for one in history if _is_known(one, since_us))
            for name, history in histories.items()
        }
        known = [one for one in versions if _is_known(one, since_us)]
        found.append(Era(since_us, stretches(known, spans)))
    return tuple(found)


def era_at(found: Sequence[Era], cut_us: int) -> Era:
    """The era that a cut lies in: as with adjustments, it does not know what came at its own log time."""
    return [era for era in found if era.since_us is None or era.since_us < cut_us][-1]


def first_change_us(before: Era, after: Era) -> int | None:
    """Where two eras begin to differ, or before that; None if they do not."""
    ours, theirs = _named(before.stretches), _named(after.stretches)
    return min((start_us for start_us, *_ in ours ^ theirs), default=None)


def _is_known(version: PlanVersion | SubscriptionVersion, since_us: int | None) -> bool:
    known_us = version.known_from_us
    return known_us is None or (since_us is not None and known_us <= since_us)


def _named(found: Iterable[Stretch]) -> set[tuple[int, int | None, int, str, int]]:
    return {
        (one.start_us, one.end_us, one.subscription.version, one.plan.terms.name, one.plan.version)
        for one in found
    }
