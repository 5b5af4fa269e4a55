"""When the periods of a subscription can be rated, and on which terms."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from aggregator.rating.calendar import Calendar
from aggregator.rating.cuts import cut_that_holds_us, first_cut_us
from aggregator.rating.eras import Era, era_at, eras, first_change_us
from aggregator.rating.meters import Meters
from aggregator.rating.questions import meters_read
from aggregator.rating.segments import RatedPeriod, period_after, period_of
from aggregator.rating.terms import PlanVersion, Span, Stretch, SubscriptionVersion, lifetime

_Find: TypeAlias = Callable[[Sequence[Stretch]], RatedPeriod | None]


class Terms(NamedTuple):
    """All that a subscription was ever rated on."""

    name: str
    start_us: int
    eras: Sequence[Era]
    calendar: Calendar

    @property
    def stretches(self) -> Sequence[Stretch]:
        """By all that is known now."""
        return self.eras[-1].stretches


class Due(NamedTuple):
    """A period as its first cut knows it, and the log time of that: from then on it can be rated."""

    period: RatedPeriod
    first_cut_us: int


class Later(NamedTuple):
    """A period as a later cut knows it."""

    period: RatedPeriod
    cut_us: int


def terms_of(
    versions: Sequence[SubscriptionVersion],
    plans: Mapping[str, Sequence[Span[PlanVersion]]],
    promoted: Mapping[str, Sequence[PlanVersion]] | None = None,
) -> Terms:
    """The terms of one subscription; see `eras`."""
    newest = max(versions, key=lambda one: one.version).terms
    return Terms(
        newest.name, lifetime(versions)[0], eras(versions, plans, promoted or {}), Calendar.of(newest)
    )


def next_due(terms: Terms, meters: Meters, rated_through_us: int) -> Due | None:
    """The period after all that was rated; None if none follows."""
    return _due(terms, meters, lambda found: period_after(found, terms.calendar, rated_through_us))


def due_at(terms: Terms, meters: Meters, instant_us: int) -> Due | None:
    """The period that an instant lies in; None if the subscription has none then."""
    return _due(terms, meters, lambda found: period_of(found, terms.calendar, instant_us))


def whole_period_from_us(terms: Terms, meters: Meters, since_us: int) -> int:
    """Where the first period can begin of which nothing lies before an instant."""
    due = due_at(terms, meters, since_us)
    return since_us if due is None or due.period.start_us == since_us else due.period.end_us


def period_at_cut(terms: Terms, period_start_us: int, cut_us: int) -> RatedPeriod | None:
    """A period as a cut knows it."""
    return period_of(era_at(terms.eras, cut_us).stretches, terms.calendar, period_start_us)


def later_cut(terms: Terms, meters: Meters, due: Due, log_time_us: int) -> Later:
    """The first cut after a period's first one that holds what came at a log time.

    Terms that were promoted may read meters with a longer grace: then it waits for what that allows.
    """
    cut_us = cut_that_holds_us(due.first_cut_us, log_time_us)
    while True:
        period = period_at_cut(terms, due.period.start_us, cut_us) or due.period
        final_us = _first_cut_us(period, meters)
        if final_us <= cut_us:
            return Later(period, cut_us)
        cut_us = cut_that_holds_us(due.first_cut_us, final_us - 1)


def promoted_cuts(terms: Terms, meters: Meters, from_us: int, to_us: int) -> Iterator[Later]:
    """The later cuts at which promotions of a stretch of log time change periods that had been rated."""
    for before, after in pairwise(terms.eras):
        if after.since_us is None or not from_us <= after.since_us < to_us:
            continue
        change_us = first_change_us(before, after)
        if change_us is None:
            continue
        due = due_at(terms, meters, change_us) or next_due(terms, meters, change_us)
        while due is not None and due.period.end_us <= after.since_us:
            if due.first_cut_us <= after.since_us:
                yield later_cut(terms, meters, due, after.since_us)
            due = next_due(terms, meters, due.period.end_us)


def _due(terms: Terms, meters: Meters, find: _Find) -> Due | None:
    """A period by the terms that are known at its first cut, which these terms decide: era by era."""
    found = None
    for era, following in pairwise([*terms.eras, None]):
        assert era is not None  # noqa: S101 - only the last one of the pairs is None
        period = find(era.stretches)
        found = None if period is None else Due(period, _first_cut_us(period, meters))
        if found is not None and era.since_us is not None:
            found = Due(found.period, cut_that_holds_us(found.first_cut_us, era.since_us))
        if found is not None and (
            following is None or following.since_us is None or found.first_cut_us <= following.since_us
        ):
            return found
    return found


def _first_cut_us(period: RatedPeriod, meters: Meters) -> int:
    return first_cut_us(period.end_us, meters_read(period, meters).values())
