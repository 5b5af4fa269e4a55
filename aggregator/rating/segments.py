"""What is rated together: a period, and the segments of it in which the terms stay the same."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from aggregator.rating.calendar import Calendar, period_at
from aggregator.rating.terms import PlanVersion, Stretch, SubscriptionVersion


class Segment(NamedTuple):
    """A part of a period with one version of the subscription and one of its plan; half-open."""

    start_us: int
    end_us: int
    share: Fraction  # of the whole calendar period
    subscription: SubscriptionVersion
    plan: PlanVersion


class RatedPeriod(NamedTuple):
    """What one rated total is of; half-open. Its segments join."""

    start_us: int
    end_us: int
    segments: tuple[Segment, ...]


def period_after(stretches: Sequence[Stretch], calendar: Calendar, from_us: int) -> RatedPeriod | None:
    """The first rated period that ends after an instant, begun there at the earliest; None if none follows.

    A rated period is what joined stretches have of one calendar period. Time without a stretch, before a
    subscription that was retired begins again, say, ends it, and the next one begins after it.
    """
    for run in _runs(stretches):
        end_us = run[-1].end_us
        if end_us is None or end_us > from_us:
            return _period(run, calendar, max(from_us, run[0].start_us))
    return None


def period_of(stretches: Sequence[Stretch], calendar: Calendar, instant_us: int) -> RatedPeriod | None:
    """The rated period that an instant lies in; None if the subscription has none then."""
    for run in _runs(stretches):
        start_us, end_us = run[0].start_us, run[-1].end_us
        if start_us <= instant_us and (end_us is None or instant_us < end_us):
            return _period(run, calendar, max(period_at(calendar, instant_us).start_us, start_us))
    return None


def _period(run: Sequence[Stretch], calendar: Calendar, start_us: int) -> RatedPeriod:
    whole = period_at(calendar, start_us)
    length_us = whole.end_us - whole.start_us
    segments = []
    for stretch in run:
        first_us = max(stretch.start_us, start_us)
        last_us = whole.end_us if stretch.end_us is None else min(stretch.end_us, whole.end_us)
        if first_us < last_us:
            share = Fraction(last_us - first_us, length_us)
            segments.append(Segment(first_us, last_us, share, stretch.subscription, stretch.plan))
    return RatedPeriod(segments[0].start_us, segments[-1].end_us, tuple(segments))


def _runs(stretches: Sequence[Stretch]) -> Iterator[list[Stretch]]:
    run: list[Stretch] = []
    for stretch in stretches:
        if run and run[-1].end_us != stretch.start_us:
            yield run
            run = []
        run.append(stretch)
    if run:
        yield run
