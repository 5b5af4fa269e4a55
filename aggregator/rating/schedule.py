"""When the periods of a subscription can be rated."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aggregator.rating.calendar import Calendar
from aggregator.rating.cuts import first_cut_us
from aggregator.rating.meters import Meters
from aggregator.rating.questions import meters_read
from aggregator.rating.segments import RatedPeriod, period_after, period_of
from aggregator.rating.terms import PlanVersion, Span, Stretch, SubscriptionVersion, lifetime, stretches


class Terms(NamedTuple):
    """All that a subscription was ever rated on."""

    name: str
    start_us: int
    stretches: Sequence[Stretch]
    calendar: Calendar


class Due(NamedTuple):
    """A period, and the log time of its first cut: from then on it can be rated."""

    period: RatedPeriod
    first_cut_us: int


def terms_of(
    versions: Sequence[SubscriptionVersion], plans: Mapping[str, Sequence[Span[PlanVersion]]]
) -> Terms:
    """The terms of one subscription, from all its versions and those of its plans in force."""
    newest = max(versions, key=lambda one: one.version).terms
    return Terms(newest.name, lifetime(versions)[0], stretches(versions, plans), Calendar.of(newest))


def next_due(terms: Terms, meters: Meters, rated_through_us: int) -> Due | None:
    """The period after all that was rated; None if none follows."""
    return _due(period_after(terms.stretches, terms.calendar, rated_through_us), meters)


def due_at(terms: Terms, meters: Meters, instant_us: int) -> Due | None:
    """The period that an instant lies in; None if the subscription has none then."""
    return _due(period_of(terms.stretches, terms.calendar, instant_us), meters)


def _due(period: RatedPeriod | None, meters: Meters) -> Due | None:
    if period is None:
        return None
    return Due(period, first_cut_us(period.end_us, meters_read(period, meters).values()))
