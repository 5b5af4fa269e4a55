"""Promotions of other prices and subjects against the oracle: by cut and hour, which terms have the say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any, Final, NamedTuple

import asyncpg
import pytest
from integration.rating import everything
from integration.rating.conftest import Worlds
from integration.rating.everything import (
    CHANGED_US,
    GREATEST_GRACE_US,
    METERS,
    MORE_SUBJECTS,
    RULES,
    SUBSCRIPTIONS,
)
from integration.rating.promoted import shadow_of, write
from integration.rating.test_recount import Found, assert_differs, written
from integration.rating.world import DAY_US, World
from oracle.rated import HOUR_US, ChargeRule, cents, lines

from aggregator.applying.backdated_terms import backdated_terms
from aggregator.applying.billing_change import Wanted
from aggregator.rating.amounts import from_text
from aggregator.store import doctor, promotion, replay
from aggregator.store.comparison import compare
from aggregator.store.promotion import Proposal
from aggregator.store.replay import Promotion, Source
from aggregator.store.replayed_terms import billing_state, with_terms
from schemas.instant import format_time, parse_time_us
from schemas.plan import Plan
from schemas.rated import RatedTotal
from schemas.subscription import Subscription

FLAT: Final = {1: 20, 2: 20, 3: 7, 4: 11}
"""The base fee of each edition of the prices."""


class Said(NamedTuple):
    """That terms hold from an instant on, said to the cuts after a log time; None: to all."""

    edition: int
    from_us: int | None
    known_from_us: int | None = None
    counted_us: int = 0  # what was planned for later than this stays


@dataclass
class Told:
    """A log, and all that was said of its prices and of the subjects of `daily`, in the order of saying."""

    world: World
    prices: list[Said] = field(default_factory=lambda: [Said(1, None), Said(2, CHANGED_US)])
    subjects: list[Said] = field(default_factory=lambda: [Said(1, None), Said(2, CHANGED_US)])

    kept: dict[object, Found] = field(default_factory=dict)

    def used(
        self, charge: str, edition: int, paid: Sequence[str], part: tuple[int, int, Fraction], cut_us: int
    ) -> Found:
        """The lines of a charge; looked at once, until the log has more of these subjects before the cut."""
        log = [one for one in self.world.told if one.subject in paid]
        known = sum(one.log_time_us < cut_us for one in log)
        key = charge, edition, tuple(paid), part, len(log), known
        if key not in self.kept:
            start_us, end_us, share = part
            found = lines(log, rule(charge, edition), paid, start_us, end_us, cut_us, share=share)
            self.kept[key] = {group: line for group, line in found.items() if line.quantity}
        return self.kept[key]

    def segments(self, first: RatedTotal, cut_us: int) -> Sequence[tuple[int, int, int, int]]:
        """Hours of a period in which the same is said: start, end, edition of prices and of subjects."""
        start_us, end_us = parse_time_us(first.period.start), parse_time_us(first.period.end)
        found: list[tuple[int, int, Said, Said]] = []
        for hour_us in range(start_us, end_us, HOUR_US):
            prices, subjects = holding(self.prices, hour_us, cut_us), Said(1, None)
            if first.subscription == "daily":
                subjects = holding(self.subjects, hour_us, cut_us)
            if found and found[-1][2:] == (prices, subjects):
                found[-1] = (found[-1][0], hour_us + HOUR_US, prices, subjects)
            else:
                found.append((hour_us, hour_us + HOUR_US, prices, subjects))
        return [(start, end, prices.edition, subjects.edition) for start, end, prices, subjects in found]


def holding(said: Sequence[Said], hour_us: int, cut_us: int) -> Said:
    holds = said[0]
    for one in said:
        if one.known_from_us is None:
            holds = one if one.from_us is None or one.from_us <= hour_us else holds
        elif one.known_from_us < cut_us and (one.from_us is None or one.from_us <= hour_us):
            is_planned = one.counted_us < CHANGED_US <= hour_us and one.edition != said[1].edition
            holds = said[1] if is_planned else one
    return holds


def plan(edition: int) -> dict[str, Any]:
    """The prices of an edition: 1 and 2 are those of the catalog."""
    definition = everything.plan(min(edition, 2))
    for charge in definition["charges"]:
        if charge["name"] == "base":
            charge["flat"] = FLAT[edition]
        elif edition > 2:
            charge["price"] = rule(charge["name"], edition).price
            charge["included"] = str(rule(charge["name"], edition).included)
    return definition


def rule(charge: str, edition: int) -> ChargeRule:
    one = everything.rule(charge, min(edition, 2))
    if edition <= 2:
        return one
    price = everything.VOLUME if edition == 3 else everything.DEAR
    return ChargeRule(one.meter, one.rollup, one.per_us, one.group_by, Fraction(edition), price, one.prices)


def daily(edition: int) -> dict[str, Any]:
    subjects = SUBSCRIPTIONS["daily"]["subjects"] if edition == 1 else MORE_SUBJECTS
    return {
        "name": "daily",
        "customer": "of daily",
        "plan": "all",
        **SUBSCRIPTIONS["daily"],
        "subjects": subjects,
    }


def wanted(kind: str, edition: int) -> Wanted:
    if kind == "prices":
        return Wanted(plans=[Plan.model_validate(plan(edition))], is_whole=False)
    return Wanted(subscriptions=[Subscription.model_validate(daily(edition))], is_whole=False)


async def proposed(
    worlds: Worlds, told: Told, kind: str, edition: int, from_us: int | None
) -> tuple[Proposal, World]:
    """Replay all of the log, rated on other terms, and see what that would change."""
    world = told.world
    source = await replay.source(world.connection)
    found = backdated_terms(
        billing_state(source), source.catalog.versions, wanted(kind, edition), from_us, counted_us(world)
    )
    assert found.refusals == []
    other = await repeated(worlds, world, with_terms(source, found.changes))
    shadow = shadow_of(world)._replace(log_time_us=source.closing_us)
    proposal = await promotion.propose(world.connection, other.connection, shadow, None)
    assert proposal.refused == []
    assert proposal.placed == []
    return proposal, other


def counted_us(world: World) -> int:
    return max(log[-1].timestamp_us for log in world.logs.values())


async def promote(
    worlds: Worlds, told: Told, kind: str, edition: int, from_us: int | None
) -> tuple[Proposal, Promotion]:
    proposal, other = await proposed(worlds, told, kind, edition, from_us)
    assert proposal.changes
    made = await promotion.promote(told.world.connection, proposal, other.schema, "al", "a wrong price")
    said = told.prices if kind == "prices" else told.subjects
    said.append(Said(edition, from_us, made.log_time_us, counted_us(told.world)))
    again, _ = await proposed(worlds, told, kind, edition, from_us)
    assert not again.changes  # there is nothing more to do
    return proposal, made


STEPS: Final = (
    ("prices", 3, None),  # of hours that are rated; what is planned for the second day stays
    ("subjects", 2, None),  # of the first day, which ends there
    ("prices", 4, everything.T0 + 6 * HOUR_US),  # from within a day on, over what was planned, too
    ("prices", 1, CHANGED_US),  # and back, from there on
)


@pytest.mark.parametrize("seed", [1, 2])
async def test_versions_are_what_the_terms_say_that_their_cuts_know(worlds: Worlds, seed: int) -> None:
    """Late events and voids come all along; one rater is there all the time, another comes at the end."""
    chance = Random(seed)
    told = Told(await worlds(METERS, everything.T0))
    world = told.world
    await everything.apply(world)
    for kind, edition, from_us in STEPS:
        write(world, chance, 30)
        await counted(world, chance)
        before = await texts(world)
        proposal, made = await promote(worlds, told, kind, edition, from_us)
        assert_money(told, await documents(world), proposal, made.log_time_us)
        await world.rate()
        assert await texts(world) == before  # what was rated stays, and waits for the next cut
    world.now_us = max(world.now_us, everything.END_US) + DAY_US // 2
    world.tick()
    await counted(world, chance)
    assert_versions(told, await documents(world))
    assert await doctor.checks(world.connection) == []
    await assert_repeated(worlds, world)
    with pytest.raises(asyncpg.RestrictViolationError):
        await world.connection.execute(
            "INSERT INTO plan_version"
            " (plan, version, definition, effective_from, retired, revision, known_from)"
            " SELECT plan, 99, definition, effective_from, retired, revision, log_time - interval '1 s'"
            " FROM plan_version, closing WHERE version = 1"
        )


def assert_versions(told: Told, found: Sequence[RatedTotal]) -> None:
    """Each version is what the oracle says at its cut, and there are no others."""
    by_period: dict[tuple[str, str], list[RatedTotal]] = {}
    for document in found:
        cut_us = parse_time_us(document.cut)
        assert told_of(document) == expected(told, document, cut_us), (
            document.subscription,
            document.version,
        )
        by_period.setdefault((document.subscription, document.period.start), []).append(document)
    assert len(by_period) == sum(everything.PERIODS.values())
    for versions in by_period.values():
        cuts = [(one.version, one.cut) for one in versions]
        assert cuts == list(enumerate(expected_cuts(told, versions[0]), start=1))
        for earlier, later in pairwise(versions):
            assert_differs(earlier, later)


def told_of(document: RatedTotal) -> Mapping[tuple[str, str], Found | Fraction]:
    found: dict[tuple[str, str], Found | Fraction] = {}
    for segment in document.segments:
        base, *charges = segment.charges
        found[segment.start, "base"] = from_text(base.amount)
        for charge in charges:
            if written(charge):
                found[segment.start, charge.charge] = written(charge)
    return found


def expected(
    told: Told, first: RatedTotal, cut_us: int, known_us: int | None = None
) -> Mapping[tuple[str, str], Found | Fraction]:
    """The lines of a period at a cut, by segment and charge; on the terms that another one knows, if said."""
    found: dict[tuple[str, str], Found | Fraction] = {}
    length_us = HOUR_US if first.subscription == "hourly" else DAY_US
    for start_us, end_us, prices, subjects in told.segments(first, known_us or cut_us):
        share = Fraction(end_us - start_us, length_us)
        found[format_time(start_us), "base"] = cents(FLAT[prices] * share, 2)
        paid: Sequence[str] = SUBSCRIPTIONS[first.subscription]["subjects"]
        if first.subscription == "daily" and subjects == 2:
            paid = MORE_SUBJECTS
        for charge in RULES:
            used = told.used(charge, prices, paid, (start_us, end_us, share), cut_us)
            if used:
                found[format_time(start_us), charge] = used
    return found


def expected_cuts(told: Told, first: RatedTotal) -> list[str]:
    """The first cut, and the later ones at which anything has changed, hour by hour until the log's end."""
    cut_us = parse_time_us(first.period.end) + GREATEST_GRACE_US
    times = [one.log_time_us for one in told.world.told]
    times += [one.known_from_us for one in [*told.prices, *told.subjects] if one.known_from_us is not None]
    cuts, before = [format_time(cut_us)], expected(told, first, cut_us)
    while cut_us + HOUR_US <= told.world.now_us:
        cut_us += HOUR_US
        if any(cut_us - HOUR_US <= time_us < cut_us for time_us in times):
            after = expected(told, first, cut_us)
            if after != before:
                cuts.append(format_time(cut_us))
            before = after
    return cuts


def assert_money(told: Told, found: Sequence[RatedTotal], proposal: Proposal, closing_us: int) -> None:
    """What was shown before: by rated period, what the new terms make of the usage of the last cut."""
    terms = proposal.terms
    assert terms is not None
    shown = {
        (one.subscription, format_time(one.period_start_us)): Fraction(one.difference) for one in terms.money
    }
    newest = {(one.subscription, one.period.start): one for one in found}
    differences = {}
    for key, document in newest.items():
        cut_us = parse_time_us(document.period.end) + GREATEST_GRACE_US
        cut_us += (closing_us - cut_us) // HOUR_US * HOUR_US
        right = total(expected(told, document, cut_us, closing_us + 1))
        differences[key] = right - from_text(document.amount)
    assert shown == {key: more for key, more in differences.items() if more}


def total(found: Mapping[tuple[str, str], Found | Fraction]) -> Fraction:
    amounts = [
        [one] if isinstance(one, Fraction) else [line.amount for line in one.values()]
        for one in found.values()
    ]
    return sum((amount for some in amounts for amount in some), Fraction(0))


async def assert_repeated(worlds: Worlds, world: World) -> None:
    """A replay on the same terms, rated at the very end, comes to the same rows and bytes (P5)."""
    source = await replay.source(world.connection)
    other = await repeated(worlds, world, source)
    assert await texts(other) == await texts(world)
    shadow = shadow_of(world)._replace(log_time_us=source.closing_us)
    found = await compare(world.connection, other.connection, shadow)
    assert found.identical, found.differences
    assert found.rows["terms"] == len(source.plans) + len(source.subscriptions)


async def repeated(worlds: Worlds, world: World, source: Source) -> World:
    """A world of its own with the same log, rated on the terms of a source, at the very end."""
    other = await worlds(METERS, everything.T0)
    async with other.connection.transaction():
        await replay.insert_terms(other.connection, source, "tests")
    for partition, log in world.logs.items():
        other.logs[partition] = list(log)
    await other.count_close_rate()
    return other


async def counted(world: World, chance: Random) -> None:
    await world.count_all(chance)
    await world.close()
    await world.rate()


async def documents(world: World) -> list[RatedTotal]:
    return [document for name in SUBSCRIPTIONS for document in await world.documents(name)]


async def texts(world: World) -> list[tuple[Any, ...]]:
    rows = await world.connection.fetch(
        "SELECT subscription, period_start, version, cut, digest, document::text"
        " FROM rated_total ORDER BY 1, 2, 3"
    )
    return [tuple(row) for row in rows]
