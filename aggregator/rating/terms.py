"""Which version of a plan and of a subscription holds when: the terms that usage is rated on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from schemas.plan import Plan
from schemas.subscription import Subscription


class Version(Protocol):
    """What decides when a version holds."""

    @property
    def version(self) -> int:
        """1, 2, … within its plan or subscription."""

    @property
    def effective_from_us(self) -> int | None:
        """From when it holds; None: from the beginning."""

    @property
    def retired(self) -> bool:
        """Whether nothing is charged by it from then on."""


AnyVersion = TypeVar("AnyVersion", bound=Version)


class PlanVersion(NamedTuple):
    """One immutable version of a price plan; a retired one repeats the terms of the one before."""

    plan_version_id: int
    version: int
    effective_from_us: int | None
    retired: bool
    terms: Plan
    known_from_us: int | None = None  # cuts after this log time know it; None: all do


class SubscriptionVersion(NamedTuple):
    """One immutable version of a subscription; a retired one repeats the terms of the one before."""

    subscription_version_id: int
    version: int
    effective_from_us: int | None
    retired: bool
    terms: Subscription
    known_from_us: int | None = None  # cuts after this log time know it; None: all do


class Span(NamedTuple, Generic[AnyVersion]):
    """When a version holds: `[start_us, end_us)`, None for the beginning and for ever."""

    start_us: int | None
    end_us: int | None
    version: AnyVersion


class Stretch(NamedTuple):
    """A time in which a subscription is rated on one version of its own and one of its plan."""

    start_us: int
    end_us: int | None  # None: for ever
    subscription: SubscriptionVersion
    plan: PlanVersion


def in_force(versions: Iterable[AnyVersion]) -> list[Span[AnyVersion]]:
    """When each version holds, in order of time.

    At any instant the newest version holds of those that have begun by then: a later version replaces from
    its own beginning on all that was planned before, be it from earlier or from later. The time of a retired
    one is in no span.
    """
    spans: list[Span[AnyVersion]] = []
    end_us: int | None = None
    for version in sorted(versions, key=lambda one: one.version, reverse=True):
        start_us = version.effective_from_us
        if start_us is None or end_us is None or start_us < end_us:
            if not version.retired:
                spans.append(Span(start_us, end_us, version))
            if start_us is None:
                break
            end_us = start_us
    return spans[::-1]


def lifetime(versions: Sequence[SubscriptionVersion]) -> tuple[int, int | None]:
    """When a subscription begins and ends: by its newest version, or where it was retired."""
    newest = max(versions, key=lambda one: one.version)
    start_us, end_us = newest.terms.start_us, newest.terms.end_us
    if newest.retired:
        retired_us = start_us if newest.effective_from_us is None else newest.effective_from_us
        end_us = max(start_us, retired_us if end_us is None else min(end_us, retired_us))
    return start_us, end_us


def stretches(
    versions: Sequence[SubscriptionVersion], plans: Mapping[str, Sequence[Span[PlanVersion]]]
) -> list[Stretch]:
    """A subscription's life, cut where a version of it or of its plan begins; in order of time.

    Time in which its plan has no version in force is in no stretch; `metering catalog apply` refuses that.

    Args:
        versions: of one subscription.
        plans: what `in_force` gives for each plan that they name.
    """
    life = lifetime(versions)
    found = []
    for span in in_force(versions):
        for plan in plans.get(span.version.terms.plan, ()):
            start_us = max(us for us in (life[0], span.start_us, plan.start_us) if us is not None)
            end_us = min((us for us in (life[1], span.end_us, plan.end_us) if us is not None), default=None)
            if end_us is None or start_us < end_us:
                found.append(Stretch(start_us, end_us, span.version, plan.version))
    return found
