"""What applying plans and subscriptions may change, from when, and everything that is refused."""

from dataclasses import dataclass, field, replace

import pytest
from oracle.logs import RULES, StoredVersion

from aggregator.applying.billing_change import BillingState, Section, Wanted, applied
from aggregator.applying.billing_plan import BillingPlan, Refusal, concerned_plans, plan
from aggregator.applying.catalog_plan import Change, ChangeKind
from schemas.catalog import load_catalog
from schemas.instant import parse_time_us

METERS = """
meters:
  - {name: tokens, event_type: call, aggregation: sum, value: n, group_by: [model], window: 15m, grace: 30m}
  - {name: calls, event_type: call, aggregation: count, window: 1h, grace: 30m}
  - {name: peak, event_type: call, aggregation: max, value: n, window: 1h, grace: 30m}
"""
PLANS = """
plans:
  - name: pro
    currency: USD
    rounding: {places: 2}
    charges:
      - {name: base, flat: 20}
      - name: input
        meter: tokens
        group_by: [model]
        included: 1000
        price: {model: per_unit, unit_price: 0.5}
  - name: free
    currency: USD
    rounding: {places: 2}
    charges: [{name: base, flat: 0}]
"""
SUBSCRIPTIONS = """
subscriptions:
  - name: acme-pro
    customer: acme
    subjects: [acme-eu, acme-us]
    plan: pro
    start: 2026-01-01T00:00:00Z
    billing_period: month
"""
START_US = parse_time_us("2026-01-01T00:00:00Z")
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US


@dataclass
class World:
    """A catalog that files are applied to, one after another."""

    meters: list[StoredVersion] = field(default_factory=list)
    state: BillingState = field(default_factory=lambda: BillingState({}, {}, {}, {}))
    frontier_us: int | None = None

    def plan(self, text: str, effective_from: str | None = None, *, is_whole: bool = True) -> BillingPlan:
        document = load_catalog(text, "catalog.yaml")
        wanted = Wanted(document.meters, document.plans, document.subscriptions, is_whole=is_whole)
        start_us = None if effective_from is None else parse_time_us(effective_from)
        return plan(self.state, self.meters, wanted, [self.frontier_us], RULES, start_us)

    def apply(self, text: str, effective_from: str | None = None) -> BillingPlan:
        planned = self.plan(text, effective_from)
        assert not planned.refusals
        self.meters += [stored(change) for change in planned.meter_effects]
        self.state = applied(self.state, planned.effects)
        return planned

    def rated(self, **through: str) -> None:
        """Rated up to an instant, which the log has passed by then."""
        instants = {name.replace("_", "-"): parse_time_us(text) for name, text in through.items()}
        self.state = replace(self.state, rated_through_us=instants)
        self.frontier_us = max(self.frontier_us or 0, *instants.values()) + HOUR_US


def stored(change: Change) -> StoredVersion:
    retired = change.kind is ChangeKind.RETIRED
    return StoredVersion(
        0, change.meter, change.version, change.definition, change.effective_from_us, retired
    )


def codes(planned: BillingPlan) -> list[tuple[str, str]]:
    return [(refusal.code, refusal.name) for refusal in planned.refusals]


def refusal(planned: BillingPlan) -> Refusal:
    [found] = planned.refusals
    return found


@pytest.fixture
def world() -> World:
    """A catalog of everything above, and a log that has come to noon of the 10th of January."""
    world = World()
    world.apply(METERS + PLANS + SUBSCRIPTIONS)
    world.frontier_us = START_US + 9 * DAY_US + 12 * HOUR_US
    return world


# What changes, and from when.


def test_before_the_first_record_all_is_new_and_holds_from_the_beginning() -> None:
    planned = World().plan(METERS + PLANS + SUBSCRIPTIONS)

    assert planned.refusals == []
    assert [(c.section, c.name, c.kind, c.version, c.effective_from_us) for c in planned.terms] == [
        (Section.PLANS, "free", ChangeKind.NEW, 1, None),
        (Section.PLANS, "pro", ChangeKind.NEW, 1, None),
        (Section.SUBSCRIPTIONS, "acme-pro", ChangeKind.NEW, 1, None),
    ]
    assert [change.meter for change in planned.meter_effects] == ["calls", "peak", "tokens"]


def test_the_same_file_again_changes_nothing(world: World) -> None:
    planned = world.plan(METERS + PLANS + SUBSCRIPTIONS)

    assert planned.refusals == []
    assert not planned.effects
    assert not planned.meter_effects


def test_a_section_that_is_absent_is_left_alone(world: World) -> None:
    assert not world.plan(PLANS).effects
    assert not world.plan(SUBSCRIPTIONS).effects
    assert not world.plan(METERS).effects


def test_a_first_version_holds_from_the_beginning_whatever_was_counted(world: World) -> None:
    more = SUBSCRIPTIONS + SUBSCRIPTIONS.replace("acme", "beta").replace("\nsubscriptions:\n", "")
    [change] = world.plan(more, "2026-01-20T00:00:00Z").effects

    assert (change.name, change.effective_from_us) == ("beta-pro", None)


def test_a_later_version_holds_from_the_next_windows_after_all_that_was_counted(world: World) -> None:
    [change] = world.plan(PLANS.replace("flat: 20", "flat: 25")).effects

    assert (change.kind, change.version) == (ChangeKind.CHANGED, 2)
    assert change.effective_from_us == START_US + 9 * DAY_US + 12 * HOUR_US + 15 * MINUTE_US
    assert change.differences == [("charges[base].flat", "20", "25")]


def test_windows_of_what_was_charged_before_count_too(world: World) -> None:
    hourly = PLANS.replace("flat: 0", "meter: calls, price: {model: per_unit, unit_price: 1}")
    world.apply(hourly)
    [change] = world.plan(PLANS).effects

    assert change.name == "free"
    assert change.effective_from_us == START_US + 9 * DAY_US + 13 * HOUR_US


def test_a_frontier_on_a_window_is_passed(world: World) -> None:
    world.frontier_us = START_US
    [change] = world.plan(PLANS.replace("flat: 20", "flat: 25")).effects

    assert change.effective_from_us == START_US + 15 * MINUTE_US


def test_a_plan_and_its_subscription_change_together(world: World) -> None:
    text = PLANS.replace("name: input", "name: read") + SUBSCRIPTIONS.replace(
        "month", "month\n    thresholds: [{charge: read, percent: 80}]"
    )
    planned = world.plan(text)

    assert planned.refusals == []
    assert len({change.effective_from_us for change in planned.effects}) == 1


def test_meters_and_what_charges_by_them_change_together(world: World) -> None:
    text = METERS.replace("group_by: [model]", "group_by: [model, region]") + PLANS.replace(
        "group_by: [model]", "group_by: [region]"
    )
    planned = world.plan(text)

    assert planned.refusals == []
    instants = {change.effective_from_us for change in [*planned.effects, *planned.meter_effects]}
    assert instants == {START_US + 9 * DAY_US + 12 * HOUR_US + 15 * MINUTE_US}


def test_differences_are_those_of_parts(world: World) -> None:
    text = SUBSCRIPTIONS.replace("[acme-eu, acme-us]", "[acme-eu]").replace("plan: pro", "plan: free")
    [change] = world.plan(text).effects

    assert change.differences == [
        ("subjects", ["acme-eu", "acme-us"], ["acme-eu"]),
        ("plan", "pro", "free"),
    ]


def test_what_a_file_does_not_name_is_retired_and_what_a_request_does_not_name_is_not(world: World) -> None:
    other = SUBSCRIPTIONS.replace("acme", "beta")
    assert [(c.name, c.kind) for c in world.plan(other).effects] == [
        ("acme-pro", ChangeKind.RETIRED),
        ("beta-pro", ChangeKind.NEW),
    ]
    assert [c.name for c in world.plan(other, is_whole=False).effects] == ["beta-pro"]


def test_a_price_may_be_corrected_back_to_what_is_rated(world: World) -> None:
    world.rated(acme_pro="2026-01-05T00:00:00Z")
    planned = world.plan(PLANS.replace("flat: 20", "flat: 25"), "2026-01-05T00:00:00Z")

    assert planned.refusals == []


def test_a_retired_subscription_comes_back_where_it_ended(world: World) -> None:
    world.apply("subscriptions: []")
    back = world.plan(SUBSCRIPTIONS)

    assert [(c.kind, c.version) for c in back.effects] == [(ChangeKind.NEW, 3)]
    assert back.refusals == []


def test_the_plans_that_a_file_concerns(world: World) -> None:
    def concerned(text: str) -> set[str]:
        document = load_catalog(text, "catalog.yaml")
        wanted = Wanted(document.meters, document.plans, document.subscriptions)
        return concerned_plans(world.state.plans, world.meters, wanted)

    assert concerned(METERS + PLANS + SUBSCRIPTIONS) == set()
    assert concerned(PLANS.replace("flat: 0", "flat: 1")) == {"free"}
    assert concerned(METERS.replace("window: 15m", "window: 5m")) == {"pro"}
    assert concerned("plans: []") == {"pro", "free"}


# What is refused of a plan.


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("meter: tokens", "meter: token", "unknown_meter", "did you mean `tokens`?"),
        ("group_by: [model]", "group_by: [region]", "unknown_group", "meter `tokens` has `model`"),
        ("meter: tokens", "meter: tokens\n        rollup: sum_of_max", "rollup_does_not_fit", "of `max`"),
        ("meter: tokens", "meter: tokens\n        rollup: time_average", "rollup_does_not_fit", "`gauge`"),
        (
            "meter: tokens",
            "meter: peak\n        rollup: integral\n        per: hour",
            "rollup_does_not_fit",
            "`gauge`",
        ),
    ],
)
def test_a_charge_must_fit_its_meter(old: str, new: str, code: str, said: str) -> None:
    text = PLANS.replace(old, new)
    if "peak" in new:
        text = text.replace("        group_by: [model]\n", "")
    found = refusal(World().plan(METERS + text))

    assert (found.code, found.section, found.name) == (code, Section.PLANS, "pro")
    assert said in found.sentence


@pytest.mark.parametrize(
    ("rollup", "meter"), [("p95", "calls"), ("avg", "peak"), ("sum_of_max", "peak"), ("natural", "calls")]
)
def test_roll_ups_that_fit(rollup: str, meter: str) -> None:
    text = PLANS.replace("group_by: [model]", f"rollup: {rollup}").replace("meter: tokens", f"meter: {meter}")

    assert World().plan(METERS + text).refusals == []


def test_a_plan_cannot_charge_by_a_meter_after_it_is_retired(world: World) -> None:
    without = METERS.replace("  - {name: peak", "  # - {name: peak")
    by_peak = PLANS.replace("flat: 0", "meter: peak, price: {model: per_unit, unit_price: 1}")
    assert codes(world.plan(without + by_peak)) == [("meter_retired", "free")]

    world.apply(without)
    assert codes(world.plan(by_peak)) == [("meter_retired", "free")]


def test_a_plan_that_stops_charging_by_a_meter_lets_it_go(world: World) -> None:
    by_peak = PLANS.replace("flat: 0", "meter: peak, price: {model: per_unit, unit_price: 1}")
    world.apply(by_peak)
    without = METERS.replace("  - {name: peak", "  # - {name: peak")

    assert world.plan(without + PLANS).refusals == []


def test_a_plan_changes_on_the_windows_of_its_meters(world: World) -> None:
    planned = world.plan(PLANS.replace("flat: 20", "flat: 25"), "2026-01-20T00:10:00Z")

    assert codes(planned) == [("effective_from_not_aligned", "pro")]
    assert "2026-01-20T00:10:00Z" in planned.refusals[0].sentence
    assert "15m windows of `tokens`" in planned.refusals[0].sentence


def test_a_plan_without_meters_changes_at_any_instant(world: World) -> None:
    assert world.plan(PLANS.replace("flat: 0", "flat: 1"), "2026-01-20T00:10:01.5Z").refusals == []


def test_a_change_holds_from_where_calendars_reach(world: World) -> None:
    changed = PLANS.replace("flat: 20", "flat: 25")

    assert codes(world.plan(changed, "9999-12-31T23:45:00Z")) == [("effective_from_too_late", "pro")]
    assert world.plan(changed, "2999-12-31T23:45:00Z").refusals == []


def test_a_plan_does_not_change_what_is_rated(world: World) -> None:
    world.rated(acme_pro="2026-02-01T00:00:00Z")
    found = refusal(world.plan(PLANS.replace("flat: 20", "flat: 25"), "2026-01-31T00:00:00Z"))

    assert (found.code, found.section, found.name) == ("changes_rated_period", Section.PLANS, "pro")
    assert "`acme-pro`" in found.sentence
    assert "2026-02-01T00:00:00Z" in found.sentence
    assert world.plan(PLANS.replace("flat: 0", "flat: 1"), "2026-01-31T00:00:00Z").refusals == []


def test_a_plan_that_somebody_is_on_is_not_retired(world: World) -> None:
    found = refusal(world.plan(PLANS.replace("name: pro", "name: pro-2")))

    assert (found.code, found.section, found.name) == ("plan_retired", Section.PLANS, "pro")
    assert "`acme-pro`" in found.sentence
    both = PLANS.replace("name: pro", "name: pro-2") + SUBSCRIPTIONS.replace("plan: pro", "plan: pro-2")
    assert world.plan(both).refusals == []


def test_a_plan_keeps_the_currency_of_those_who_are_on_it(world: World) -> None:
    found = refusal(world.plan(PLANS.replace("USD", "EUR", 1)))

    assert (found.code, found.section, found.name) == ("currency_differs", Section.PLANS, "pro")
    assert world.plan(PLANS[::-1].replace("DSU", "RUE", 1)[::-1]).refusals == []  # nobody is on `free`


def test_a_plan_keeps_what_thresholds_are_shares_of(world: World) -> None:
    world.apply(SUBSCRIPTIONS + "    thresholds: [{charge: input, percent: 80}]\n")

    assert codes(world.plan(PLANS.replace("name: input", "name: read"))) == [("unknown_charge", "pro")]
    assert codes(world.plan(PLANS.replace("included: 1000", "included: 0"))) == [("nothing_included", "pro")]


# What is refused of a meter.


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("group_by: [model], ", ""),
        ("  - {name: tokens", "  # - {name: tokens"),
        ("aggregation: sum", "aggregation: unique"),
    ],
)
def test_a_meter_does_not_break_a_plan(world: World, old: str, new: str) -> None:
    world.apply(
        PLANS.replace("included: 1000", "included: 1000\n        rollup: p95") if "unique" in new else PLANS
    )
    found = refusal(world.plan(METERS.replace(old, new)))

    assert (found.code, found.section, found.name) == ("breaks_plan", Section.METERS, "tokens")
    assert "`pro`" in found.sentence


def test_a_meters_windows_still_divide_the_periods_that_are_charged_by_it() -> None:
    world = World()
    world.apply(METERS + PLANS + SUBSCRIPTIONS + "    timezone: Asia/Kathmandu\n    anchor: 2026-01-01\n")
    found = refusal(world.plan(METERS.replace("window: 15m", "window: 1h")))

    assert (found.code, found.section, found.name) == ("breaks_plan", Section.METERS, "tokens")
    assert "2026-01-31T18:15:00Z" in found.sentence
    assert world.plan(METERS.replace("window: 15m", "window: 5m")).refusals == []


def test_what_is_wrong_with_a_meter_itself_is_told_too(world: World) -> None:
    planned = world.plan(METERS.replace("grace: 30m", "grace: 30d", 1))

    assert [(one.code, one.section) for one in planned.refusals] == [("grace_too_long", Section.METERS)]


# What is refused of a subscription.


def test_its_plan_must_exist(world: World) -> None:
    found = refusal(world.plan(SUBSCRIPTIONS.replace("plan: pro", "plan: max")))
    assert (found.code, found.section, found.name) == ("unknown_plan", Section.SUBSCRIPTIONS, "acme-pro")

    world.apply(PLANS.partition("  - name: free")[0])
    assert codes(world.plan(SUBSCRIPTIONS.replace("plan: pro", "plan: free"))) == [
        ("plan_retired", "acme-pro")
    ]


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("customer: acme", "customer: beta", "customer"),
        ("start: 2026-01-01", "start: 2026-01-02", "start"),
        ("month", "day", "billing_period"),
        ("month", "month\n    timezone: Etc/GMT+1\n    anchor: 2026-01-01", "timezone"),
        ("month", "month\n    anchor: 2026-01-02", "anchor"),
    ],
)
def test_what_is_fixed_for_its_life(world: World, old: str, new: str, field: str) -> None:
    found = refusal(world.plan(SUBSCRIPTIONS.replace(old, new)))

    assert (found.code, found.name) == ("fixed_field_changed", "acme-pro")
    assert f"`{field}`" in found.sentence


def test_its_currency_is_fixed_for_its_life(world: World) -> None:
    euros = PLANS[::-1].replace("DSU", "RUE", 1)[::-1]
    world.apply(euros)

    assert codes(world.plan(SUBSCRIPTIONS.replace("plan: pro", "plan: free"))) == [
        ("currency_differs", "acme-pro")
    ]


def test_it_does_not_change_what_is_rated(world: World) -> None:
    world.rated(acme_pro="2026-02-01T00:00:00Z")
    changed = SUBSCRIPTIONS.replace("plan: pro", "plan: free")

    assert codes(world.plan(changed, "2026-01-31T00:00:00Z")) == [("changes_rated_period", "acme-pro")]
    assert world.plan(changed, "2026-02-01T00:00:00Z").refusals == []


@pytest.mark.parametrize(("end", "is_refused"), [("2026-01-31", True), ("2026-02-01", False)])
def test_it_ends_where_it_is_rated_or_later(world: World, end: str, is_refused: bool) -> None:  # noqa: FBT001
    world.rated(acme_pro="2026-02-01T00:00:00Z")
    planned = world.plan(SUBSCRIPTIONS + f"    end: {end}T00:00:00Z\n")

    assert codes(planned) == ([("changes_rated_period", "acme-pro")] if is_refused else [])


@pytest.mark.parametrize("through", ["2026-02-01T00:00:00Z", "2999-12-31T00:00:00Z"])
def test_what_is_rated_to_its_end_has_ended_for_good(world: World, through: str) -> None:
    world.apply(SUBSCRIPTIONS + "    end: 2026-02-01T00:00:00Z\n")
    assert world.plan(SUBSCRIPTIONS).refusals == []
    world.rated(acme_pro=through)

    assert codes(world.plan(SUBSCRIPTIONS)) == [("subscription_ended", "acme-pro")]
    assert codes(world.plan(SUBSCRIPTIONS + "    end: 2026-03-01T00:00:00Z\n")) == [
        ("subscription_ended", "acme-pro")
    ]


def test_what_is_rated_to_where_it_was_retired_has_ended_for_good(world: World) -> None:
    world.apply("subscriptions: []", "2026-02-01T00:00:00Z")
    world.rated(acme_pro="2026-02-01T00:00:00Z")

    assert codes(world.plan(SUBSCRIPTIONS, "2026-02-01T00:00:00Z")) == [("subscription_ended", "acme-pro")]


def test_it_is_not_interrupted(world: World) -> None:
    world.apply("subscriptions: []", "2026-02-01T00:00:00Z")

    assert codes(world.plan(SUBSCRIPTIONS, "2026-02-02T00:00:00Z")) == [
        ("subscription_interrupted", "acme-pro")
    ]
    assert world.plan(SUBSCRIPTIONS, "2026-02-01T00:00:00Z").refusals == []


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:07:00Z", "window_does_not_divide", "its start"),
        ("month", "month\n    end: 2026-02-01T00:07:00Z", "window_does_not_divide", "its end"),
        ("month", "month\n    anchor: 2026-01-01T00:07", "window_does_not_divide", "2026-01-01T00:07:00Z"),
        ("month", "hour\n    anchor: 2026-01-01T00:07", "window_does_not_divide", "2026-01-01T00:07:00Z"),
        (
            "month",
            "day\n    timezone: Australia/Lord_Howe\n    anchor: 2026-01-01",
            None,  # half an hour is two windows of 15 minutes
            "",
        ),
    ],
)
def test_its_periods_are_made_of_whole_windows(old: str, new: str, code: str | None, said: str) -> None:
    planned = World().plan(METERS + PLANS + SUBSCRIPTIONS.replace(old, new))

    assert codes(planned) == ([] if code is None else [(code, "acme-pro")])
    assert all(said in refusal.sentence for refusal in planned.refusals)


def test_the_first_boundary_that_is_off_is_named() -> None:
    hourly = METERS.replace("window: 15m", "window: 1h")
    zone = "    timezone: Australia/Lord_Howe\n    anchor: 2026-01-01\n"
    found = refusal(World().plan(hourly + PLANS + SUBSCRIPTIONS + zone))

    assert found.code == "window_does_not_divide"
    assert "2026-04-30T13:30:00Z" in found.sentence
    assert "1h windows of `tokens`" in found.sentence


def test_periods_without_usage_may_begin_at_any_instant() -> None:
    text = SUBSCRIPTIONS.replace("plan: pro", "plan: free").replace("T00:00:00Z", "T00:00:07.5Z")

    assert World().plan(METERS + PLANS + text).refusals == []


def test_its_thresholds_are_shares_of_something(world: World) -> None:
    thresholds = "    thresholds: [{charge: output, percent: 80}, {charge: base, percent: 80}, {amount: 5}]\n"

    assert set(codes(world.plan(SUBSCRIPTIONS + thresholds))) == {
        ("unknown_charge", "acme-pro"),
        ("nothing_included", "acme-pro"),
    }


def both(one: str = SUBSCRIPTIONS, **changes: str) -> str:
    """A second subscription of the same customer beside one."""
    other = SUBSCRIPTIONS.replace("\nsubscriptions:\n", "").replace("acme-pro", "acme-two")
    for old, new in changes.items():
        other = other.replace(old.replace("__", ": "), new)
    return one + other


def test_a_subject_is_charged_for_a_meter_once(world: World) -> None:
    found = refusal(world.plan(both()))

    assert (found.code, found.name) == ("already_charged", "acme-two")
    assert "`acme-pro`" in found.sentence
    assert "`acme-eu`" in found.sentence
    assert "`tokens`" in found.sentence
    assert world.plan(both(plan__pro="plan: free")).refusals == []
    assert world.plan(both().replace("subjects: [acme-eu, acme-us]", "subjects: [acme-eu]", 1)).refusals


def test_a_subject_is_handed_over(world: World) -> None:
    """One subscription lets go of it at the instant at which another takes it."""
    world.apply(both(plan__pro="plan: free"))
    handed = both(
        SUBSCRIPTIONS.replace("[acme-eu, acme-us]", "[acme-eu]"), **{"[acme-eu, acme-us]": "[acme-us]"}
    )
    later = SUBSCRIPTIONS.replace("month", "month\n    end: 2026-03-01T00:00:00Z")
    successor = both(later, **{"2026-01-01T00": "2026-03-01T00"})

    assert world.plan(handed).refusals == []
    assert world.plan(successor.replace("acme-two", "acme-three")).refusals == []


def test_a_plan_that_begins_to_charge_may_charge_twice(world: World) -> None:
    world.apply(both(plan__pro="plan: free"))
    charging = PLANS.replace("flat: 0", "meter: tokens, price: {model: per_unit, unit_price: 1}")
    found = refusal(world.plan(charging))

    assert (found.code, found.section, found.name) == ("already_charged", Section.PLANS, "free")


def test_every_refusal_is_told_at_once_and_in_the_order_of_the_file(world: World) -> None:
    text = METERS.replace("grace: 30m", "grace: 30d", 1)
    text += PLANS.replace("meter: tokens", "meter: toks")
    text += SUBSCRIPTIONS.replace("customer: acme", "customer: beta")

    assert [(one.section, one.name) for one in world.plan(text).refusals] == [
        (Section.METERS, "tokens"),
        (Section.PLANS, "pro"),
        (Section.SUBSCRIPTIONS, "acme-pro"),
    ]


def test_of_what_a_plan_does_to_many_one_example_is_told(world: World) -> None:
    more = [
        SUBSCRIPTIONS.replace("\nsubscriptions:\n", "").replace("acme", f"customer-{number}")
        for number in range(20)
    ]
    world.apply(SUBSCRIPTIONS + "".join(more))
    found = refusal(world.plan(PLANS.replace("USD", "EUR", 1)))

    assert (found.code, found.name) == ("currency_differs", "pro")
