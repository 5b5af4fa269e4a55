"""Any history of applies and rating, against a look at every hour: who pays for what, and what stays."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.logs import StoredVersion

from aggregator.applying.billing_change import BillingState, Wanted, applied
from aggregator.applying.billing_plan import plan
from schemas.catalog import Meter
from schemas.instant import format_time, parse_time_us
from schemas.plan import Plan
from schemas.subscription import Subscription

HOUR_US = 3_600_000_000
BASE_US = parse_time_us("2026-01-01T00:00:00Z")
HORIZON = 10  # hours
METERS = {"flat": (), "calls": ("calls",), "both": ("calls", "tokens")}  # of each plan
STARTS = {"a": 0, "b": 1, "c": 3}


class Spoken(NamedTuple):
    """A subscription as a file has it; `end` is an hour."""

    plan: str
    subjects: frozenset[str]
    end: int | None


class SpokenVersion(NamedTuple):
    effective_from: int | None
    terms: Spoken | None  # None: retired


@dataclass
class Account:
    """What was applied and rated, in a form in which every rule is a loop over hours."""

    versions: dict[str, list[SpokenVersion]] = field(default_factory=dict)
    rated: dict[str, int] = field(default_factory=dict)

    def following(self, wanted: dict[str, Spoken], effective_from: int) -> "Account":
        after = Account({name: [*versions] for name, versions in self.versions.items()}, self.rated)
        for name in self.versions.keys() | wanted.keys():
            versions = after.versions.setdefault(name, [])
            newest = versions[-1].terms if versions else None
            if wanted.get(name) != newest:
                versions.append(SpokenVersion(effective_from if versions else None, wanted.get(name)))
        return after

    def end(self, name: str) -> int | None:
        """By the newest terms, or where it was retired."""
        newest = self.versions[name][-1]
        last = next(version.terms for version in self.versions[name][::-1] if version.terms is not None)
        ends = [last.end, newest.effective_from if newest.terms is None else None]
        return max(STARTS[name], min((end for end in ends if end is not None), default=HORIZON + 1))

    def holds(self, name: str, hour: int) -> tuple[int, Spoken] | None:
        """The number and terms of the version that holds."""
        found = None
        for number, version in enumerate(self.versions.get(name, [])):
            if version.effective_from is None or version.effective_from <= hour:
                found = None if version.terms is None else (number, version.terms)
        return found

    def lives(self, name: str, hour: int) -> bool:
        return name in self.versions and STARTS[name] <= hour < (self.end(name) or 0)

    def payers(self, hour: int) -> Counter[tuple[str, str]]:
        """How many subscriptions pay for each subject's meter."""
        return Counter(
            (subject, meter)
            for name in self.versions
            if self.lives(name, hour) and (held := self.holds(name, hour)) is not None
            for subject in held[1].subjects
            for meter in METERS[held[1].plan]
        )


def expected(before: Account, after: Account) -> set[str]:
    """The codes of everything that is wrong with one account after another."""
    codes = set()
    for hour in range(HORIZON + 1):
        if any(count > 1 for count in after.payers(hour).values()):
            codes.add("already_charged")
        for name in after.versions:
            if after.lives(name, hour) and after.holds(name, hour) is None:
                codes.add("subscription_interrupted")
    for name, rated in before.rated.items():
        for hour in range(rated):
            was = before.holds(name, hour) if before.lives(name, hour) else None
            if was != (after.holds(name, hour) if after.lives(name, hour) else None):
                codes.add("changes_rated_period")
        if rated == before.end(name) != after.end(name):
            codes.add("subscription_ended")
    return codes


def instant(hour: int) -> str:
    return format_time(BASE_US + hour * HOUR_US)


def subscription(name: str, spoken: Spoken) -> Subscription:
    return Subscription(
        name=name,
        customer="acme",
        subjects=sorted(spoken.subjects),
        plan=spoken.plan,
        start=instant(STARTS[name]),
        end=None if spoken.end is None else instant(spoken.end),
        billing_period="hour",
    )


def price_plan(name: str) -> Plan:
    charges: list[dict[str, object]] = [{"name": "base", "flat": 1}]
    charges += [
        {"name": meter, "meter": meter, "price": {"model": "per_unit", "unit_price": 1}}
        for meter in METERS[name]
    ]
    return Plan.model_validate(
        {"name": name, "currency": "EUR", "rounding": {"places": 2}, "charges": charges}
    )


STORED = [
    StoredVersion(
        1,
        name,
        1,
        Meter(name=name, event_type="call", aggregation="count", window="1h", grace="0s").definition(),
    )
    for name in ("calls", "tokens")
]
PLANS = [price_plan(name) for name in METERS]

spoken = st.builds(
    Spoken,
    st.sampled_from([*METERS]),
    st.frozensets(st.sampled_from("xyz"), min_size=1),
    st.none() | st.integers(4, HORIZON),
)
steps = st.tuples(
    st.dictionaries(st.sampled_from([*STARTS]), spoken),
    st.integers(0, HORIZON),
    st.dictionaries(st.sampled_from([*STARTS]), st.integers(0, HORIZON)),
)


@settings(max_examples=300)
@given(st.lists(steps, min_size=1, max_size=6))
def test_what_is_refused_is_what_a_look_at_every_hour_forbids(
    history: list[tuple[dict[str, Spoken], int, dict[str, int]]],
) -> None:
    state = BillingState({}, {}, {}, {})
    state = applied(state, plan(state, STORED, Wanted(plans=PLANS), [None]).effects)
    account = Account()
    for wanted, effective_from, rated in history:
        after = account.following(wanted, effective_from)
        planned = plan(
            state,
            STORED,
            Wanted(subscriptions=[subscription(*one) for one in wanted.items()]),
            [None],
            effective_from_us=BASE_US + effective_from * HOUR_US,
        )
        assert {refusal.code for refusal in planned.refusals} == expected(account, after)
        if planned.refusals:
            continue
        state, account = applied(state, planned.effects), after
        for name, hour in rated.items():
            if name in account.versions:
                through = min(max(hour, account.rated.get(name, STARTS[name])), account.end(name) or 0)
                account.rated = account.rated | {name: through}
        instants = {name: BASE_US + hour * HOUR_US for name, hour in account.rated.items()}
        state = replace(state, rated_through_us=instants)
