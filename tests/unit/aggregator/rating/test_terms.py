"""Which terms hold when, against a look at every instant."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from aggregator.rating.terms import PlanVersion, SubscriptionVersion, in_force, lifetime, stretches
from schemas.instant import format_time
from schemas.plan import Plan
from schemas.subscription import Subscription

HORIZON_US = 30


class Version(NamedTuple):
    version: int
    effective_from_us: int | None
    retired: bool


starts = st.none() | st.integers(0, HORIZON_US - 1)
versions = st.lists(st.tuples(starts, st.booleans()), max_size=6).map(
    lambda many: [Version(number, *one) for number, one in enumerate(many, start=1)]
)


def holding(found: list[Version], instant_us: int) -> Version | None:
    """The newest version that has begun, unless it is retired."""
    holds = None
    for version in found:
        if version.effective_from_us is None or version.effective_from_us <= instant_us:
            holds = version
    return None if holds is None or holds.retired else holds


@given(versions.flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))))
def test_at_any_instant_the_newest_version_that_has_begun_holds(
    found_shuffled: tuple[list[Version], list[Version]],
) -> None:
    found, shuffled = found_shuffled
    spans = in_force(shuffled)
    for instant_us in range(-1, HORIZON_US + 1):
        at = [
            span.version
            for span in spans
            if (span.start_us is None or span.start_us <= instant_us)
            and (span.end_us is None or instant_us < span.end_us)
        ]
        assert at == [one for one in [holding(found, instant_us)] if one is not None]


def plan(name: str) -> Plan:
    charge = {"name": "base", "flat": 1}
    fields = {"name": name, "currency": "EUR", "rounding": {"places": 2}, "charges": [charge]}
    return Plan.model_validate(fields)


def subscription(plan_name: str, start_us: int, end_us: int | None) -> Subscription:
    return Subscription.model_validate(
        {
            "name": "s",
            "customer": "c",
            "subjects": ["c"],
            "plan": plan_name,
            "start": format_time(start_us),
            "end": None if end_us is None else format_time(end_us),
            "billing_period": "month",
        }
    )


PLANS = {name: plan(name) for name in "ab"}


@given(
    st.lists(
        st.tuples(starts, st.booleans(), st.sampled_from("ab"), st.none() | st.integers(6, HORIZON_US)),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 5),
    st.fixed_dictionaries(dict.fromkeys("ab", versions)),
)
def test_stretches_are_a_look_at_every_instant(
    written: list[tuple[int | None, bool, str, int | None]],
    start_us: int,
    plan_versions: dict[str, list[Version]],
) -> None:
    history = [
        SubscriptionVersion(0, number, effective, retired, subscription(name, start_us, end_us))
        for number, (effective, retired, name, end_us) in enumerate(written, start=1)
    ]
    plans = {
        name: in_force([PlanVersion(0, *one, PLANS[name]) for one in found])
        for name, found in plan_versions.items()
    }
    found = stretches(history, plans)
    for instant_us in range(-1, HORIZON_US + 2):
        at = [
            (one.subscription.version, one.plan.version)
            for one in found
            if one.start_us <= instant_us and (one.end_us is None or instant_us < one.end_us)
        ]
        assert at == expected(history, plan_versions, start_us, instant_us)


def expected(
    history: list[SubscriptionVersion], plans: dict[str, list[Version]], start_us: int, instant_us: int
) -> list[tuple[int, int]]:
    newest = history[-1]
    if instant_us < start_us or (newest.terms.end_us is not None and instant_us >= newest.terms.end_us):
        return []
    plain = [Version(one.version, one.effective_from_us, one.retired) for one in history]
    holds = holding(plain, instant_us)
    if holds is None:
        return []
    plan_holds = holding(plans[history[holds.version - 1].terms.plan], instant_us)
    return [] if plan_holds is None else [(holds.version, plan_holds.version)]


def test_a_life_ends_by_the_newest_version_or_where_it_was_retired() -> None:
    first = SubscriptionVersion(1, 1, None, retired=False, terms=subscription("a", 5, None))
    assert lifetime([first]) == (5, None)
    ended = SubscriptionVersion(2, 2, 9, retired=False, terms=subscription("a", 5, 7))
    assert lifetime([ended, first]) == (5, 7)
    assert lifetime([first, first._replace(version=2, retired=True, effective_from_us=9)]) == (5, 9)
    assert lifetime([ended, ended._replace(version=3, retired=True)]) == (5, 7)
    assert lifetime([first, first._replace(version=2, retired=True)]) == (5, 5)
