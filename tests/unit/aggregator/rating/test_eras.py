"""Which terms a cut knows, and when cuts are, against walks over the log minute by minute."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from aggregator.rating.eras import era_at, eras
from aggregator.rating.meters import MeterVersion
from aggregator.rating.schedule import (
    Terms,
    due_at,
    later_cut,
    next_due,
    period_at_cut,
    promoted_cuts,
    terms_of,
)
from aggregator.rating.terms import PlanVersion, SubscriptionVersion, in_force
from schemas.catalog import Meter
from schemas.instant import format_time
from schemas.plan import Plan
from schemas.subscription import Subscription

HORIZON: Final = 12
MINUTE_US: Final = 60_000_000
HOURS: Final = 5
GRACES: Final = {"none": 0, "some": 45, "long": 150}  # minutes, of a meter each


class Version(NamedTuple):
    """`known` is a log time, None: it is always known."""

    effective: int | None
    known: int | None
    retired: bool
    plan: str


def histories(plans: str) -> st.SearchStrategy[list[Version]]:
    """Versions 1, 2, …: the first one is an ordinary one that holds from the beginning."""
    later = st.builds(
        Version,
        st.none() | st.integers(0, HORIZON - 1),
        st.none() | st.integers(0, HORIZON),
        st.booleans(),
        st.sampled_from(plans),
    )
    first = st.builds(Version, st.none(), st.none(), st.just(value=False), st.sampled_from(plans))
    return st.tuples(first, st.lists(later, max_size=4)).map(lambda found: [found[0], *found[1]])


def holding(found: Sequence[Version], instant: int, cut: int) -> int | None:
    """The number of the newest version that the cut knows and that has begun, unless it is retired."""
    holds = None
    for number, one in enumerate(found, start=1):
        is_known = one.known is None or one.known < cut
        if is_known and (one.effective is None or one.effective <= instant):
            holds = number
    return None if holds is None or found[holds - 1].retired else holds


def expected(
    subscription: Sequence[Version], plans: dict[str, list[Version]], instant: int, cut: int
) -> object:
    newest = [one for one in subscription if one.known is None or one.known < cut][-1]
    if newest.retired and (newest.effective or 0) <= instant:
        return []  # it has ended there, whatever was planned before
    holds = holding(subscription, instant, cut)
    if instant < 0 or holds is None:
        return []
    plan_holds = holding(plans[subscription[holds - 1].plan], instant, cut)
    return [] if plan_holds is None else [(holds, plan_holds)]


@given(histories("ab"), st.fixed_dictionaries({"a": histories("a"), "b": histories("b")}))
def test_a_cut_knows_what_was_promoted_before_it(
    subscription: list[Version], plans: dict[str, list[Version]]
) -> None:
    stored = {name: [plan_version(*one) for one in enumerate(found, 1)] for name, found in plans.items()}
    promoted = {
        name: found for name, found in stored.items() if any(one.known_from_us is not None for one in found)
    }
    versions = [subscription_version(*one) for one in enumerate(subscription, 1)]
    spans = {name: in_force(found) for name, found in stored.items()}
    found = eras(versions, spans, promoted)
    for cut in range(HORIZON + 3):
        stretches = era_at(found, cut).stretches
        for instant in range(-1, HORIZON + 1):
            at = [
                (one.subscription.version, one.plan.version)
                for one in stretches
                if one.start_us <= instant and (one.end_us is None or instant < one.end_us)
            ]
            assert at == expected(subscription, plans, instant, cut), (instant, cut)


class Price(NamedTuple):
    """A version of a plan that charges by one meter from an hour on, known from a minute of the log on."""

    effective: int | None
    known: int | None
    meter: str


prices = st.tuples(
    st.builds(Price, st.none(), st.none(), st.sampled_from(list(GRACES))),
    st.lists(
        st.builds(
            Price,
            st.none() | st.integers(0, HOURS),
            st.none() | st.integers(0, 60 * (HOURS + 4)),
            st.sampled_from(list(GRACES)),
        ),
        max_size=4,
    ),
).map(lambda found: [found[0], *found[1]])


def held(found: Sequence[Price], hour: int, cut: int) -> int:
    return max(
        number
        for number, one in enumerate(found)
        if (one.known is None or one.known < cut) and (one.effective is None or one.effective <= hour)
    )


def final_at(found: Sequence[Price], hour: int, cut: int) -> int:
    """The minute from which a cut's windows of an hour cannot grow, by the terms that it knows."""
    return 60 * (hour + 1) + GRACES[found[held(found, hour, cut)].meter]


def first_cut(found: Sequence[Price], hour: int) -> int:
    """The first minute that is whole hours after nothing can grow any more."""
    cut = 60 * (hour + 1)
    while not (final_at(found, hour, cut) <= cut and (cut - final_at(found, hour, cut)) % 60 == 0):
        cut += 1
    return cut


def cut_after(found: Sequence[Price], hour: int, log_time: int) -> int:
    cut = first_cut(found, hour)
    while not (log_time < cut and final_at(found, hour, cut) <= cut):
        cut += 60
    return cut


@given(prices)
def test_cuts_are_a_walk_over_the_log(found: list[Price]) -> None:
    terms = hourly(found)
    through_us = 0
    for hour in range(HOURS):
        due = next_due(terms, METERS, through_us)
        assert due is not None
        assert due == due_at(terms, METERS, hour * 60 * MINUTE_US + 1)
        first = first_cut(found, hour)
        assert due.first_cut_us == first * MINUTE_US
        assert due.period.start_us == hour * 60 * MINUTE_US
        assert [segment.plan.version for segment in due.period.segments] == [held(found, hour, first) + 1]
        for log_time in range(first, first + 300, 15):
            later = later_cut(terms, METERS, due, log_time * MINUTE_US)
            cut = cut_after(found, hour, log_time)
            assert later.cut_us == cut * MINUTE_US
            assert later.period == period_at_cut(terms, due.period.start_us, later.cut_us)
            assert [segment.plan.version for segment in later.period.segments] == [held(found, hour, cut) + 1]
        through_us = due.period.end_us


@given(prices)
def test_a_promotion_has_a_cut_for_each_rated_period_that_it_changes(found: list[Price]) -> None:
    terms = hourly(found)
    for known in {one.known for one in found if one.known is not None}:
        cuts = {
            (later.period.start_us // 60 // MINUTE_US, later.cut_us // MINUTE_US)
            for later in promoted_cuts(terms, METERS, known * MINUTE_US, known * MINUTE_US + 1)
        }
        rated = [hour for hour in range(HOURS + 5) if first_cut(found, hour) <= known]
        changed = [hour for hour in rated if held(found, hour, known) != held(found, hour, known + 1)]
        assert cuts >= {(hour, cut_after(found, hour, known)) for hour in changed}
        assert cuts <= {(hour, cut_after(found, hour, known)) for hour in rated}
    assert not list(promoted_cuts(terms, METERS, -1, 0))


def test_what_is_promoted_at_a_cut_is_in_the_next_one() -> None:
    found = [Price(None, None, "none"), Price(None, 60, "none")]
    terms = hourly(found)
    due = due_at(terms, METERS, 0)
    assert due is not None
    assert due.first_cut_us == 60 * MINUTE_US
    assert [segment.plan.version for segment in due.period.segments] == [1]
    (later,) = promoted_cuts(terms, METERS, 60 * MINUTE_US, 61 * MINUTE_US)
    assert later.cut_us == 120 * MINUTE_US
    assert [segment.plan.version for segment in later.period.segments] == [2]


def meter(name: str, grace: int) -> MeterVersion:
    fields = {"name": name, "event_type": "e", "aggregation": "count", "window": "1h", "grace": f"{grace}m"}
    return MeterVersion(1 + list(GRACES).index(name), 1, Meter.model_validate(fields), None, None)


METERS: Final = {name: [meter(name, grace)] for name, grace in GRACES.items()}


def hourly(found: Sequence[Price]) -> Terms:
    """A subscription to hours on one plan."""
    stored = [
        PlanVersion(
            number,
            number,
            None if one.effective is None else one.effective * 60 * MINUTE_US,
            retired=False,
            terms=plan("a", one.meter),
            known_from_us=None if one.known is None else one.known * MINUTE_US,
        )
        for number, one in enumerate(found, 1)
    ]
    is_promoted = any(one.known is not None for one in found)
    return terms_of(
        [SubscriptionVersion(1, 1, None, retired=False, terms=subscription("a"))],
        {"a": in_force(stored)},
        {"a": stored} if is_promoted else {},
    )


def plan_version(number: int, one: Version) -> PlanVersion:
    return PlanVersion(number, number, one.effective, one.retired, plan(one.plan), one.known)


def subscription_version(number: int, one: Version) -> SubscriptionVersion:
    return SubscriptionVersion(number, number, one.effective, one.retired, subscription(one.plan), one.known)


def plan(name: str, charged: str | None = None) -> Plan:
    charge: dict[str, object] = {"name": "base", "flat": 1}
    if charged is not None:
        charge = {"name": "c", "meter": charged, "price": {"model": "per_unit", "unit_price": 1}}
    fields = {"name": name, "currency": "EUR", "rounding": {"places": 2}, "charges": [charge]}
    return Plan.model_validate(fields)


def subscription(plan_name: str) -> Subscription:
    fields = {"name": "s", "customer": "c", "subjects": ["c"], "plan": plan_name, "start": format_time(0)}
    return Subscription.model_validate(fields | {"billing_period": "hour"})
