"""Who pays for which window: the database's answer, beside a loop over versions and instants."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from random import Random
from typing import Any, Final

from integration.store.batches import KINDS, METER_IDS, T0, Spoken
from integration.store.conftest import Connect
from integration.store.counting import Store
from integration.store.explaining import explain, grown_tables, nodes
from integration.store.terms import insert, new, price_plan, subscription

from aggregator.applying.billing_change import Section, TermsChange
from aggregator.applying.catalog_plan import ChangeKind
from aggregator.store.connection import Connection
from aggregator.store.statements import STATEMENTS
from schemas.instant import HOUR_US, format_time
from schemas.plan import Plan
from schemas.price import MeteredCharge
from schemas.subscription import Subscription

HOURS: Final = 12
COUNTED: Final = ("sum", "count", "max")
CHARGES: Final[Sequence[Mapping[str, Any]]] = (
    {"name": "a", "meter": "usage_sum", "price": {"model": "per_unit", "unit_price": 1}},
    {"name": "b", "meter": "usage_count", "price": {"model": "per_unit", "unit_price": 1}},
    {
        "name": "c",
        "meter": "usage_sum",
        "group_by": ["model", "region"],
        "prices": [
            {"when": {"model": ["m1", "m2"]}, "price": {"model": "per_unit", "unit_price": 1}},
            {"when": {"model": ["m3"], "region": ["eu"]}, "price": {"model": "per_unit", "unit_price": 1}},
        ],
    },
    {
        "name": "d",
        "meter": "usage_sum",
        "group_by": ["region"],
        "prices": [{"when": {"region": ["us"]}, "price": {"model": "per_unit", "unit_price": 1}}],
        "other": {"model": "per_unit", "unit_price": 1},
    },
    {"name": "e", "flat": 5},
)
Row = tuple[str, str, tuple[str | None, ...] | None, int, str]
"""Meter, subject, groups, hour, reason."""


@dataclass(frozen=True)
class Version:
    terms: Plan | Subscription
    number: int
    from_us: int | None
    retired: bool = False


def holding(versions: Iterable[Version], at_us: int) -> Version | None:
    """The greatest version of those that have begun, unless it is a retired one."""
    begun = [one for one in versions if one.from_us is None or one.from_us <= at_us]
    newest = max(begun, key=lambda one: one.number, default=None)
    return None if newest is None or newest.retired else newest


def is_alive(versions: Sequence[Version], at_us: int) -> bool:
    newest = max(versions, key=lambda one: one.number)
    assert isinstance(newest.terms, Subscription)
    starts, ends = newest.terms.start_us, newest.terms.end_us
    is_gone = newest.retired and (newest.from_us is None or newest.from_us <= at_us)
    return starts <= at_us and (ends is None or at_us < ends) and not is_gone


def has_price(charge: MeteredCharge, groups: tuple[str | None, ...] | None) -> bool:
    if groups is None and charge.group_by:
        return charge.other is not None
    named = dict(zip(("model", "region"), groups or (None, None), strict=True))
    return charge.price is not None or any(
        all(named[name] in texts for name, texts in one.when.items()) for one in charge.prices
    )


@dataclass(frozen=True)
class Payers:
    """Who pays for one subject, found instant by instant."""

    subject: str
    subscriptions: Sequence[Sequence[Version]]
    plans: Mapping[str, Sequence[Version]]

    @cached_property
    def by_hour(self) -> dict[int, list[Plan]]:
        return {hour: self.plans_at(T0 + hour * HOUR_US) for hour in range(-3, HOURS + 30)}

    def plans_at(self, at_us: int) -> list[Plan]:
        found = []
        for versions in self.subscriptions:
            one = holding(versions, at_us) if is_alive(versions, at_us) else None
            if one is not None and isinstance(one.terms, Subscription) and self.subject in one.terms.subjects:
                plan = holding(self.plans[one.terms.plan], at_us)
                if plan is not None and isinstance(plan.terms, Plan):
                    found.append(plan.terms)
        return found

    def reason(self, meter: str, groups: tuple[str | None, ...] | None, hour: int) -> str | None:
        if not any(self.by_hour.values()):
            return "no_subscription"
        current = self.by_hour[hour]
        charges = [charge for plan in current for charge in plan.metered if charge.meter == meter]
        if not current:
            return "outside_subscription"
        if not charges:
            return "no_charge"
        return None if any(has_price(charge, groups) for charge in charges) else "no_price"


def change(one: Version) -> TermsChange:
    section = Section.PLANS if isinstance(one.terms, Plan) else Section.SUBSCRIPTIONS
    kind = ChangeKind.RETIRED if one.retired else ChangeKind.NEW
    return TermsChange(kind, section, one.terms.name, one.number, one.terms, one.from_us, ())


def at(chance: Random) -> int:
    return T0 + chance.randint(-2, HOURS + 2) * HOUR_US


def some_plans(chance: Random) -> dict[str, list[Version]]:
    found = {}
    for name, charges in (("one", [CHARGES[2]]), ("two", [CHARGES[1], CHARGES[3]]), ("three", [CHARGES[4]])):
        found[name] = [
            Version(
                price_plan(
                    name,
                    charges=charges if number == 1 else chance.sample(CHARGES, chance.randint(1, 3)),
                ),
                number,
                None if number == 1 else at(chance),
                retired=number > 1 and chance.random() < 0.2,
            )
            for number in range(1, chance.randint(2, 4))
        ]
    return found


def some_subscription(chance: Random, name: str, subjects: Sequence[str]) -> list[Version]:
    start = at(chance)
    versions = []
    for number in range(1, chance.randint(2, 5)):
        ends = chance.choice([None, None, format_time(start + chance.randint(1, 14) * HOUR_US)])
        terms = subscription(
            f"acme-{name}",
            subjects=chance.sample(subjects, chance.randint(1, 2)),
            plan=chance.choice(["one", "two", "three"]),
            start=format_time(start),
            end=ends,
        )
        from_us = None if number == 1 else at(chance)
        versions.append(Version(terms, number, from_us, retired=number > 1 and chance.random() < 0.2))
    return versions


async def found_in(connection: Connection, subjects: Sequence[str]) -> Counter[Row]:
    """Each window that nobody pays for with its events: every hour is asked for alone."""
    asked = [(subject, T0 + hour * HOUR_US) for subject in subjects for hour in range(HOURS)]
    rows = await connection.fetch(
        STATEMENTS["unpaid_gaps"],
        [METER_IDS[kind] for kind in COUNTED],
        [subject for subject, _ in asked],
        [us for _, us in asked],
        [us + HOUR_US for _, us in asked],
    )
    found: Counter[Row] = Counter()
    for row in rows:
        assert row["first_start"] == row["last_start"] == row["gap_start"]
        groups = None if row["groups"] is None else tuple(row["groups"])
        hour = (row["first_start"] - T0) // HOUR_US
        found[KINDS[row["meter_version_id"]], row["subject"], groups, hour, row["reason"]] += row["events"]
    return found


async def test_every_window_that_nobody_pays_for_is_found_with_its_reason(
    store: Store, connected: Connect
) -> None:
    chance = Random(19)
    subjects = [f"subject-{number}" for number in range(60)]
    plans = some_plans(chance)
    histories = [
        some_subscription(chance, f"{number}", subjects[number : number + 3]) for number in range(50)
    ]
    by_round = [version for versions in [*plans.values(), *histories] for version in versions]
    for number in range(1, 5):
        await insert(store.owner, *(change(one) for one in by_round if one.number == number))
    groups = [("m1", None), ("m3", "eu"), ("m3", "us"), (None, "us"), None]
    events = [
        Spoken(chance.randint(1, 9), subject, chance.choice(groups), T0 + hour * HOUR_US, is_late=late < 2)
        for subject in subjects
        for hour in range(HOURS)
        for late in range(chance.randint(0, 4))
    ]
    await store.flush(store.logs[0].batch(events))
    await store.owner.execute("ANALYZE")

    payers = {subject: Payers(subject, histories, plans) for subject in subjects}
    expected: Counter[Row] = Counter()
    values: Counter[Row] = Counter()
    for event in events:
        hour = (event.time_us - T0) // HOUR_US
        for kind in COUNTED:
            series = event.groups if kind == "sum" else ()
            groups_seen = series if kind == "sum" else (None, None)
            why = payers[event.subject].reason(f"usage_{kind}", groups_seen, hour)
            if why is not None:
                expected[kind, event.subject, series, hour, why] += 1
                if kind == "sum":
                    assert isinstance(event.value, int)
                    values[kind, event.subject, series, hour, why] += event.value
    assert {row[4] for row in expected} == {
        "no_subscription",
        "outside_subscription",
        "no_charge",
        "no_price",
    }
    assert await found_in(store.owner, subjects) == expected
    await compare_view(await connected(schema=f"{store.schema}_billing", role="billing_reader"), values)


async def compare_view(reader: Connection, values: Counter[Row]) -> None:
    """What finance reads, day by day."""
    rows = await reader.fetch(
        "SELECT subject, groups, is_other, reason, day::text, value FROM unrated_usage"
        " WHERE meter = 'usage_sum'"
    )
    found: dict[tuple[str, str, str, str], Decimal] = {}
    for row in rows:
        key = (row["subject"], json.dumps(row["groups"], sort_keys=True), row["reason"], row["day"])
        found[key] = found.get(key, Decimal(0)) + row["value"]
    days: dict[tuple[str, str, str, str], Decimal] = {}
    for (_, subject, groups, hour, why), value in values.items():
        named = None if groups is None else dict(zip(("model", "region"), groups, strict=True))
        day = format_time(T0 + hour * HOUR_US)[:10]
        key = (subject, json.dumps(named, sort_keys=True), why, day)
        days[key] = days.get(key, Decimal(0)) + value
    assert found == days


async def test_usage_that_was_withdrawn_is_not_told_of(store: Store) -> None:
    await store.flush(store.logs[0].batch([Spoken(3), Spoken(4, "other")]))
    await store.flush(store.logs[0].batch([Spoken(3, is_void=True)]))
    found = await found_in(store.owner, ["acme", "other"])
    assert {(kind, subject) for kind, subject, *_ in found if kind != "max"} == {
        ("sum", "other"),
        ("count", "other"),
    }


async def test_no_statement_reads_a_grown_table_from_end_to_end(store: Store) -> None:
    """A view is explained in the statement that reads it."""
    await insert(store.owner, new(price_plan()))
    await insert(store.owner, *(new(subscription(f"customer{number}-pro")) for number in range(3000)))
    await store.flush(store.logs[0].batch(Spoken(1, f"customer{number}") for number in range(3000)))
    await store.owner.execute("ANALYZE")
    grown = await grown_tables(store.owner, 2000)
    assert {"series", "subscription_version", "subscription_subject"} <= grown
    for name, parameters in (
        ("unpaid_gaps", 4),
        ("charged_times", 1),
        ("last_uses", 6),
        ("longest_gaps", 6),
        ("last_periods_before", 3),
    ):
        plan = await explain(store.owner, STATEMENTS[name], parameters)
        read = {node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan"}
        assert read & grown == set(), name
